//! The cancellation token of a run, triggered by SIGINT, SIGTERM or `--timeout`.
//!
//! A [`Shutdown`] is a reason and a descriptor that becomes readable when it is triggered, so that
//! waiting for a socket and for the end of the run is one `poll(2)`. Triggering only stores a number
//! and writes a byte, which a signal handler may do.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::poll::{WakePipe, earliest, poll_until, wake};

/// Why a run ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownReason {
    /// SIGINT: ^C on the terminal.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// The time limit of the run (`--timeout`) passed.
    Deadline,
}

const REASONS: [ShutdownReason; 3] =
    [ShutdownReason::Interrupt, ShutdownReason::Terminate, ShutdownReason::Deadline];

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitOutcome {
    /// The descriptor is ready for this, or has hung up.
    Ready(PollFlags),
    /// The deadline of the wait passed.
    TimedOut,
    /// The run is to end.
    Shutdown(ShutdownReason),
}

/// A cancellation token. Clones share their state.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// 0, or the index of a reason in [`REASONS`] and 1.
    reason: AtomicUsize,
    wake: WakePipe,
    deadline: Option<Instant>,
}

impl Shutdown {
    /// Creates a token that counts as triggered from `deadline` on.
    ///
    /// Fails when no pipe can be created (descriptors exhausted).
    pub fn new(deadline: Option<Instant>) -> io::Result<Shutdown> {
        let (reason, wake) = (AtomicUsize::new(0), WakePipe::new()?);
        Ok(Shutdown(Arc::new(Inner { reason, wake, deadline })))
    }

    /// Ends the run; the first reason stays. Async-signal-safe (signal-safety(7)).
    pub fn trigger(&self, reason: ShutdownReason) {
        let number = reason as usize + 1;
        let first = self.0.reason.compare_exchange(0, number, Ordering::SeqCst, Ordering::SeqCst);
        if first.is_ok() {
            wake(&self.0.wake.tx);
        }
    }

    /// Returns why the run is to end, if it is.
    pub fn reason(&self) -> Option<ShutdownReason> {
        let triggered = self.0.reason.load(Ordering::SeqCst).checked_sub(1);
        let has_passed = || self.0.deadline.is_some_and(|at| at <= Instant::now());
        triggered
            .and_then(|number| REASONS.get(number).copied())
            .or_else(|| has_passed().then_some(ShutdownReason::Deadline))
    }

    /// Returns when the run ends by itself.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// Waits until `fd` is ready for `events`, `deadline` passes or the run is to end.
    pub fn wait<'a>(
        &'a self,
        fd: BorrowedFd<'a>,
        events: PollFlags,
        deadline: Option<Instant>,
    ) -> io::Result<WaitOutcome> {
        let mut fds = [PollFd::from_borrowed_fd(fd, events)];
        Ok(match self.wait_any(&mut fds, deadline)? {
            WaitOutcome::Ready(_) => WaitOutcome::Ready(fds[0].revents()),
            other => other,
        })
    }

    /// As [`Shutdown::wait`], for several descriptors; their `revents` are set.
    pub fn wait_any<'a>(
        &'a self,
        fds: &mut [PollFd<'a>],
        deadline: Option<Instant>,
    ) -> io::Result<WaitOutcome> {
        let mut all = Vec::with_capacity(fds.len() + 1);
        all.push(PollFd::new(&self.0.wake.rx, PollFlags::IN));
        all.extend(fds.iter().cloned());
        loop {
            if let Some(reason) = self.reason() {
                return Ok(WaitOutcome::Shutdown(reason));
            }
            poll_until(&mut all, earliest(deadline, self.0.deadline))?;
            let ready = all[1..].iter().fold(PollFlags::empty(), |sum, fd| sum | fd.revents());
            if !ready.is_empty() {
                fds.clone_from_slice(&all[1..]);
                return Ok(WaitOutcome::Ready(ready));
            }
            if deadline.is_some_and(|at| at <= Instant::now()) && self.reason().is_none() {
                return Ok(WaitOutcome::TimedOut);
            }
        }
    }

    /// Sleeps for `time`, or until the run is to end.
    pub fn sleep(&self, time: Duration) -> Result<(), ShutdownReason> {
        match self.wait_any(&mut [], Instant::now().checked_add(time)) {
            Ok(WaitOutcome::Shutdown(reason)) => Err(reason),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigger_wakes_every_wait_and_keeps_the_first_reason() {
        let shutdown = Shutdown::new(None).unwrap();
        let waiter = std::thread::spawn({
            let shutdown = shutdown.clone();
            move || shutdown.sleep(Duration::from_secs(20))
        });
        shutdown.trigger(ShutdownReason::Terminate);
        shutdown.trigger(ShutdownReason::Interrupt);
        assert_eq!(waiter.join().unwrap(), Err(ShutdownReason::Terminate));
        assert_eq!(shutdown.reason(), Some(ShutdownReason::Terminate));
    }

    #[test]
    fn trigger_at_any_moment_wakes_every_wait() {
        for round in 0..300u64 {
            let shutdown = Shutdown::new(None).unwrap();
            std::thread::scope(|scope| {
                let waiters: Vec<_> = (0..4)
                    .map(|_| scope.spawn(|| shutdown.sleep(Duration::from_secs(20))))
                    .collect();
                std::thread::sleep(Duration::from_micros(round % 37 * 5));
                shutdown.trigger(ShutdownReason::Interrupt);
                for waiter in waiters {
                    let ended = waiter.join().unwrap();
                    assert_eq!(ended, Err(ShutdownReason::Interrupt), "round {round}");
                }
            });
        }
    }

    #[test]
    fn deadline_ends_a_sleep() {
        let soon = Instant::now() + Duration::from_millis(20);
        let shutdown = Shutdown::new(Some(soon)).unwrap();
        assert_eq!(shutdown.sleep(Duration::from_secs(20)), Err(ShutdownReason::Deadline));
    }

    #[test]
    fn sleep_without_trigger_ends_in_time() {
        let shutdown = Shutdown::new(None).unwrap();
        assert_eq!(shutdown.sleep(Duration::from_millis(5)), Ok(()));
    }
}
