//! poll(2) with a deadline, and a pipe that wakes a thread from it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Retries of a poll(2) that fails for lack of kernel memory: for one second in all.
const MAX_NOMEM_RETRIES: u32 = 100;
const NOMEM_DELAY: Duration = Duration::from_millis(10);
/// The longest wait of a poll(2), in whole seconds of an `int`.
const MAX_POLL: Duration = Duration::from_secs(i32::MAX as u64);
/// Attempts to write to a wake pipe.
const MAX_WAKE_WRITES: usize = 8;

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

impl WakePipe {
    /// Creates a pipe of which both ends are non-blocking.
    ///
    /// Fails when no pipe can be created (descriptors exhausted).
    pub fn new() -> io::Result<WakePipe> {
        let (rx, tx) = io::pipe()?;
        rustix::io::ioctl_fionbio(&rx, true)?;
        rustix::io::ioctl_fionbio(&tx, true)?;
        Ok(WakePipe { rx: rx.into(), tx: tx.into() })
    }
}

/// Makes the other end of a wake pipe readable. A failed write is retried a few times: a full pipe
/// is readable already, but after any other error the waiting thread has nothing else to wake it.
pub fn wake(wake_tx: impl AsFd) {
    let _ = (0..MAX_WAKE_WRITES).any(|_| rustix::io::write(&wake_tx, b"!").is_ok());
}

/// Empties the reading end of a wake pipe, so that it is no longer readable.
pub fn clear(wake_rx: impl AsFd) {
    let mut buffer = [0; 64];
    while matches!(rustix::io::read(&wake_rx, &mut buffer), Ok(n) if n == buffer.len()) {}
}
