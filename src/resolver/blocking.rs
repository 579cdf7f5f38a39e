//! A call that cannot be bounded, on a thread that can be left behind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::error::{Failure, Phase};
use crate::shutdown::{Shutdown, ShutdownReason, WaitOutcome, poll_until};

/// The stack of a thread that calls the C library's resolver. glibc keeps its answers on the
/// heap once they pass a quarter of the stack; plug-ins of nsswitch need the rest.
pub const STACK: usize = 256 * 1024;

/// How long a lookup is waited for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deadline<'a> {
    until: Option<Instant>,
    stop: Option<&'a Shutdown>,
}

impl From<Option<Instant>> for Deadline<'_> {
    /// Until a moment, `None` for as long as it takes.
    fn from(until: Option<Instant>) -> Self {
        Deadline { until, stop: None }
    }
}

impl<'a> From<&'a Shutdown> for Deadline<'a> {
    /// Until this cord is pulled, or pulls itself.
    fn from(stop: &'a Shutdown) -> Self {
        Deadline { until: stop.deadline(), stop: Some(stop) }
    }
}

impl<'a> Deadline<'a> {
    /// The same, unless this cord is pulled first.
    pub fn or(self, stop: &'a Shutdown) -> Deadline<'a> {
        Deadline { stop: Some(stop), ..self }
    }

    /// Whether no time is left.
    pub fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }

    fn wait(&self, end: BorrowedFd<'_>) -> io::Result<WaitOutcome> {
        if let Some(stop) = self.stop {
            return stop.wait(end, PollFlags::IN, self.until);
        }
        let mut fds = [PollFd::from_borrowed_fd(end, PollFlags::IN)];
        poll_until(&mut fds, self.until)?;
        Ok(match fds[0].revents() {
            nothing if nothing.is_empty() => WaitOutcome::TimedOut,
            flags => WaitOutcome::Ready(flags),
        })
    }
}

/// Runs `job` on a thread of its own and waits for it as long as `patience` lasts; a job that is
/// late goes on by itself and its answer is dropped.
///
/// Fails at [`Stage::Resolve`]: 28 when late, 130 or 143 when stopped, 75 when no thread can be
/// had.
pub fn run_with_deadline<T: Send + 'static>(
    endpoint: &str,
    patience: Deadline<'_>,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let begun = Instant::now();
    if patience.is_over() {
        return Err(late(endpoint, begun, patience.until));
    }
    let (answer, answers) = mpsc::sync_channel(1);
    // Hangs up when the thread ends, so that one poll(2) sees the answer and the cord.
    let (done, held) = io::pipe().map_err(|cause| failing(endpoint, cause))?;
    thread::Builder::new()
        .name("resolve".into())
        .stack_size(STACK)
        // The asker may have given up by now; then nobody wants the answer.
        .spawn(move || {
            drop(answer.send(job()));
            drop(held);
        })
        .map_err(|cause| failing(endpoint, cause))?;
    match patience.wait(done.as_fd()) {
        Ok(WaitOutcome::Ready(_)) => {
            answers.recv().map_err(|_| failing(endpoint, "the resolver's thread broke down"))
        }
        Ok(WaitOutcome::TimedOut | WaitOutcome::Shutdown(ShutdownReason::Deadline)) => {
            Err(late(endpoint, begun, patience.until))
        }
        Ok(WaitOutcome::Shutdown(reason)) => {
            Err(Failure::shutdown(Phase::Resolve, endpoint, reason))
        }
        Err(cause) => Err(failing(endpoint, cause)),
    }
}

fn failing(endpoint: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::resolver(endpoint, cause)
}

/// The limit is told as it was when the wait began, to the hundredth of a second.
fn late(endpoint: &str, begun: Instant, until: Option<Instant>) -> Failure {
    let limit = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(begun));
    let hundredths = (limit.as_secs_f64() * 100.0).round() as u64;
    Failure::timeout(Phase::Resolve, endpoint, Duration::from_millis(hundredths * 10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    #[test]
    fn a_late_job_is_left_behind_and_told_with_its_limit() {
        let begun = Instant::now();
        let until = begun + Duration::from_millis(50);
        let (hold, held) = mpsc::channel::<()>();
        let late = run_with_deadline("silent", Some(until).into(), move || held.recv().is_ok())
            .unwrap_err();
        assert_eq!(late.code, ExitCode::Timeout);
        assert_eq!(late.to_string(), "resolve silent: timed out after 50ms");
        assert!(begun.elapsed() < Duration::from_secs(5));
        drop(hold);
    }

    #[test]
    fn an_answer_comes_back() {
        assert_eq!(run_with_deadline("quick", None.into(), || 7).unwrap(), 7);
    }

    #[test]
    fn a_pulled_cord_ends_the_wait_at_once() {
        let stop = Shutdown::new(None).unwrap();
        let (hold, held) = mpsc::channel::<()>();
        let begun = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| stop.trigger(ShutdownReason::Interrupt));
            let patience = Deadline::from(None).or(&stop);
            let stopped =
                run_with_deadline("silent", patience, move || held.recv().is_ok()).unwrap_err();
            assert_eq!(stopped.code, ExitCode::Interrupted);
            assert_eq!(stopped.to_string(), "resolve silent: interrupted");
        });
        assert!(begun.elapsed() < Duration::from_secs(5));
        drop(hold);
    }

    #[test]
    fn an_answer_comes_back_before_a_cord_nobody_pulls() {
        let stop = Shutdown::new(None).unwrap();
        assert_eq!(run_with_deadline("quick", Deadline::from(None).or(&stop), || 7).unwrap(), 7);
    }
}
