//! A call that cannot be bounded, on a thread that can be left behind.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Code, Failure, Stage};

/// The stack of a thread that calls the C library's resolver. glibc keeps its answers on the
/// heap once they pass a quarter of the stack; plug-ins of nsswitch need the rest.
pub const STACK: usize = 256 * 1024;

/// Runs `job` on a thread of its own and waits for it until `until`, `None` for as long as
/// it takes; a job that is late goes on by itself and its answer is dropped.
///
/// Fails at [`Stage::Resolve`]: 28 when late, 75 when no thread can be had.
pub fn run<T: Send + 'static>(
    endpoint: &str,
    until: Option<Instant>,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let begun = Instant::now();
    if until.is_some_and(|until| until <= begun) {
        return Err(late(endpoint, begun, until));
    }
    let (answer, answers) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("resolve".into())
        .stack_size(STACK)
        // The asker may have given up by now; then nobody wants the answer.
        .spawn(move || drop(answer.send(job())))
        .map_err(|cause| failing(endpoint, cause))?;
    let outcome = match until {
        Some(until) => answers.recv_timeout(until.saturating_duration_since(begun)),
        None => answers.recv().map_err(RecvTimeoutError::from),
    };
    outcome.map_err(|end| match end {
        RecvTimeoutError::Timeout => late(endpoint, begun, until),
        RecvTimeoutError::Disconnected => failing(endpoint, "the resolver's thread broke down"),
    })
}

fn failing(endpoint: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Stage::Resolve, endpoint, cause).with_code(Code::TryAgain)
}

/// The limit is told as it was when the wait began, to the hundredth of a second.
fn late(endpoint: &str, begun: Instant, until: Option<Instant>) -> Failure {
    let limit = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(begun));
    let hundredths = (limit.as_secs_f64() * 100.0).round() as u64;
    Failure::late(Stage::Resolve, endpoint, Duration::from_millis(hundredths * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_job_is_left_behind_and_told_with_its_limit() {
        let begun = Instant::now();
        let until = begun + Duration::from_millis(50);
        let (hold, held) = mpsc::channel::<()>();
        let late = run("silent", Some(until), move || held.recv().is_ok()).unwrap_err();
        assert_eq!(late.code, Code::Timeout);
        assert_eq!(late.to_string(), "resolve silent: timed out after 50ms");
        assert!(begun.elapsed() < Duration::from_secs(5));
        drop(hold);
    }

    #[test]
    fn an_answer_comes_back() {
        assert_eq!(run("quick", None, || 7).unwrap(), 7);
    }
}
