//! The cancellation token of a run, triggered by SIGINT, SIGTERM or `--timeout`.
//!
//! A [`Shutdown`] is a reason and a descriptor that becomes readable when it is triggered, so that
//! waiting for a socket and for the end of the run is one `poll(2)`. Triggering only stores a number
//! and writes a byte, which a signal handler may do.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

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

/// Retries of a poll(2) that fails for lack of kernel memory: for one second in all.
const MAX_NOMEM_RETRIES: u32 = 100;
const NOMEM_DELAY: Duration = Duration::from_millis(10);
/// The longest wait of a poll(2), in whole seconds of an `int`.
const MAX_POLL: Duration = Duration::from_secs(i32::MAX as u64);
/// Attempts to write to a wake pipe.
const MAX_WAKE_WRITES: usize = 8;

impl Shutdown {
    /// Creates a token that counts as triggered from `deadline` on.
    ///
    /// Fails when no pipe can be created (descriptors exhausted).
    pub fn new(deadline: Option<Instant>) -> io::Result<Shutdown> {
        let (reason, wake) = (AtomicUsize::new(0), wake_pipe()?);
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

/// Returns the earlier of two optional deadlines.
pub fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    [a, b].into_iter().flatten().min()
}

/// Calls `poll(2)` until a descriptor is ready or `deadline` passes. An interruption by a signal and
/// a temporary lack of kernel memory are retried: no event is lost meanwhile.
pub fn poll_until(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<usize> {
    let mut retries = 0;
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left.min(MAX_POLL)).ok());
        match poll(fds, left.as_ref()) {
            Err(Errno::INTR) if deadline.is_some_and(|at| at <= Instant::now()) => return Ok(0),
            Err(Errno::INTR) => {}
            Err(Errno::NOMEM) if retries < MAX_NOMEM_RETRIES => {
                retries += 1;
                std::thread::sleep(NOMEM_DELAY);
            }
            done => return Ok(done?),
        }
    }
}

/// As [`poll_until`], for one descriptor; returns what it is ready for, which is nothing at `deadline`.
pub fn poll_fd(
    fd: impl AsFd,
    events: PollFlags,
    deadline: Option<Instant>,
) -> io::Result<PollFlags> {
    let mut fds = [PollFd::new(&fd, events)];
    poll_until(&mut fds, deadline)?;
    Ok(fds[0].revents())
}

/// A pipe that wakes a thread from poll(2).
#[derive(Debug)]
pub struct WakePipe {
    /// Becomes readable once [`wake`] is called with the other end.
    pub rx: OwnedFd,
    /// The end for [`wake`].
    pub tx: OwnedFd,
}

/// Creates a wake pipe; both ends are non-blocking.
pub fn wake_pipe() -> io::Result<WakePipe> {
    let (rx, tx) = io::pipe()?;
    rustix::io::ioctl_fionbio(&rx, true)?;
    rustix::io::ioctl_fionbio(&tx, true)?;
    Ok(WakePipe { rx: rx.into(), tx: tx.into() })
}

/// Makes the other end of a wake pipe readable. A failed write is retried a few times: a full pipe
/// is readable already, but after any other error the waiting thread has nothing else to wake it.
pub fn wake(wake_tx: impl AsFd) {
    let _ = (0..MAX_WAKE_WRITES).any(|_| rustix::io::write(&wake_tx, b"!").is_ok());
}

/// Empties the first end of a wake pipe.
pub fn drain(wake_rx: impl AsFd) {
    let mut buffer = [0; 64];
    while matches!(rustix::io::read(&wake_rx, &mut buffer), Ok(n) if n == buffer.len()) {}
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
