//! Runs a blocking call without a time limit on a thread that is abandoned at the deadline.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use crate::error::{Failure, Phase};
use crate::poll::poll_fd;
use crate::shutdown::{Shutdown, ShutdownReason, WaitOutcome};

/// The stack size, in bytes, of a thread that calls the C library's resolver. glibc moves answers
/// to the heap when they exceed a quarter of the stack; nsswitch plug-ins need the rest.
pub const STACK_SIZE: usize = 256 * 1024;

/// How long to wait for a lookup: until an instant, a shutdown, or both.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deadline<'a> {
    instant: Option<Instant>,
    shutdown: Option<&'a Shutdown>,
}

impl From<Option<Instant>> for Deadline<'_> {
    /// Until an instant; `None` is no limit.
    fn from(instant: Option<Instant>) -> Self {
        Deadline { instant, shutdown: None }
    }
}

impl<'a> From<&'a Shutdown> for Deadline<'a> {
    /// Until the shutdown or its own deadline.
    fn from(shutdown: &'a Shutdown) -> Self {
        Deadline { instant: shutdown.deadline(), shutdown: Some(shutdown) }
    }
}

impl<'a> Deadline<'a> {
    /// Ends the wait at `shutdown` too.
    pub fn or(self, shutdown: &'a Shutdown) -> Deadline<'a> {
        Deadline { shutdown: Some(shutdown), ..self }
    }

    /// Whether the instant has passed.
    pub fn has_passed(&self) -> bool {
        self.instant.is_some_and(|instant| instant <= Instant::now())
    }

    fn wait(&self, fd: BorrowedFd<'_>) -> io::Result<WaitOutcome> {
        if let Some(shutdown) = self.shutdown {
            return shutdown.wait(fd, PollFlags::IN, self.instant);
        }
        Ok(match poll_fd(fd, PollFlags::IN, self.instant)? {
            flags if flags.is_empty() => WaitOutcome::TimedOut,
            flags => WaitOutcome::Ready(flags),
        })
    }
}

/// Runs `call` on a new thread and waits for its result until `deadline`; afterwards the thread
/// runs on and its result is dropped.
///
/// Fails at [`Phase::Resolve`]: 28 at the deadline, 130 or 143 at a signal, 75 if no thread can be
/// created or the call panics.
pub fn run_with_deadline<T: Send + 'static>(
    endpoint: &str,
    deadline: Deadline<'_>,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let started = Instant::now();
    if deadline.has_passed() {
        return Err(timed_out(endpoint, started, deadline.instant));
    }
    // Hangs up when the call ends, so that one poll(2) waits for the result and the shutdown.
    let (done_rx, done_tx) = io::pipe().map_err(|cause| Failure::resolver(endpoint, cause))?;
    let call = move || {
        let _done = done_tx;
        call()
    };
    let thread = thread::Builder::new().name("resolve".into()).stack_size(STACK_SIZE).spawn(call);
    let thread = thread.map_err(|cause| Failure::resolver(endpoint, cause))?;
    match deadline.wait(done_rx.as_fd()) {
        Ok(WaitOutcome::Ready(_)) => {
            thread.join().map_err(|_| Failure::resolver(endpoint, "the resolver's thread panicked"))
        }
        Ok(WaitOutcome::TimedOut | WaitOutcome::Shutdown(ShutdownReason::Deadline)) => {
            Err(timed_out(endpoint, started, deadline.instant))
        }
        Ok(WaitOutcome::Shutdown(reason)) => {
            Err(Failure::shutdown(Phase::Resolve, endpoint, reason))
        }
        Err(cause) => Err(Failure::resolver(endpoint, cause)),
    }
}

/// The error names the limit as it was when the wait began, rounded to 10 ms.
fn timed_out(endpoint: &str, started: Instant, deadline: Option<Instant>) -> Failure {
    let limit = deadline.map_or(Duration::ZERO, |at| at.saturating_duration_since(started));
    let hundredths = (limit.as_secs_f64() * 100.0).round() as u64;
    Failure::timeout(Phase::Resolve, endpoint, Duration::from_millis(hundredths * 10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;
    use std::sync::mpsc;

    #[test]
    fn deadline_ends_the_wait_with_its_limit_in_the_error() {
        let started = Instant::now();
        let deadline = started + Duration::from_millis(50);
        let (hold_tx, hold_rx) = mpsc::channel::<()>();
        let error =
            run_with_deadline("silent", Some(deadline).into(), move || hold_rx.recv().is_ok())
                .unwrap_err();
        assert_eq!(error.code, ExitCode::Timeout);
        assert_eq!(error.to_string(), "resolve silent: timed out after 50ms");
        assert!(started.elapsed() < Duration::from_secs(5));
        drop(hold_tx);
    }

    #[test]
    fn shutdown_ends_the_wait() {
        let shutdown = Shutdown::new(None).unwrap();
        let (hold_tx, hold_rx) = mpsc::channel::<()>();
        let started = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| shutdown.trigger(ShutdownReason::Interrupt));
            let deadline = Deadline::from(None).or(&shutdown);
            let error =
                run_with_deadline("silent", deadline, move || hold_rx.recv().is_ok()).unwrap_err();
            assert_eq!(error.code, ExitCode::Interrupted);
            assert_eq!(error.to_string(), "resolve silent: interrupted");
        });
        assert!(started.elapsed() < Duration::from_secs(5));
        drop(hold_tx);
    }

    #[test]
    fn result_is_returned_with_and_without_a_shutdown() {
        let shutdown = Shutdown::new(None).unwrap();
        for deadline in [Deadline::default(), Deadline::from(None).or(&shutdown)] {
            assert_eq!(run_with_deadline("quick", deadline, || 7).unwrap(), 7);
        }
    }
}
