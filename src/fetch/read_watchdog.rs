//! Ends waits that cannot be polled for.
//!
//! Under TLS a read may wait inside the layer, where only the end of the connection reaches it.
//! A thread waits beside it for whatever ends the wait early, notes why, and hangs up.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::error::Failure;
use crate::net::stream::ConnectionHandle;
use crate::shutdown::{Shutdown, ShutdownReason, WaitOutcome, earliest};

/// Why a wait was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterruptCause {
    /// Nothing came for too long.
    Idle,
    /// The cord was pulled.
    Stopped(ShutdownReason),
    /// The reader of our output has left.
    ReaderGone,
}

#[derive(Debug, Default)]
struct Shared {
    /// Until when a read waits, if one does that has a limit.
    until: Option<Instant>,
    cause: Option<InterruptCause>,
}

/// The thread beside the reads; it ends with this.
#[derive(Debug)]
pub struct Watchdog {
    shared: Arc<Mutex<Shared>>,
    _leash: io::PipeWriter,
}

impl Watchdog {
    /// Begins to watch; the moment that [`Watchdog::begin`] names is noticed within `period`.
    ///
    /// Fails when no thread or no pipe can be had.
    pub fn start(
        hangup: ConnectionHandle,
        period: Option<Duration>,
        stop: &Shutdown,
        output: Option<BorrowedFd<'static>>,
        target: &str,
    ) -> Result<Watchdog, Failure> {
        let short = |e| Failure::local_resource(target, e);
        let (held, leash) = io::pipe().map_err(short)?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let watcher = WatchdogThread { shared: shared.clone(), held: held.into(), period, output };
        let stop = stop.clone();
        thread::Builder::new()
            .name("watch".into())
            .stack_size(128 << 10)
            .spawn(move || watcher.run(&hangup, &stop))
            .map_err(short)?;
        Ok(Watchdog { shared, _leash: leash })
    }

    /// A read begins to wait, at most until this moment.
    pub fn begin(&self, until: Option<Instant>) {
        self.lock().until = until;
    }

    /// The read is over; why, if we ended it.
    pub fn end(&self) -> Option<InterruptCause> {
        let mut shared = self.lock();
        shared.until = None;
        shared.cause
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct WatchdogThread {
    shared: Arc<Mutex<Shared>>,
    /// Hangs up when the watch is over.
    held: OwnedFd,
    period: Option<Duration>,
    output: Option<BorrowedFd<'static>>,
}

impl WatchdogThread {
    fn run(self, hangup: &ConnectionHandle, stop: &Shutdown) {
        if let Some(cause) = self.wait(stop) {
            self.shared.lock().unwrap_or_else(PoisonError::into_inner).cause = Some(cause);
            hangup.shutdown();
        }
    }

    fn wait(&self, stop: &Shutdown) -> Option<InterruptCause> {
        loop {
            let mut fds = vec![PollFd::from_borrowed_fd(self.held.as_fd(), PollFlags::IN)];
            fds.extend(self.output.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
            match stop.wait_any(&mut fds, self.due()) {
                Ok(WaitOutcome::Shutdown(reason)) => return Some(InterruptCause::Stopped(reason)),
                Ok(WaitOutcome::TimedOut) if self.is_idle() => return Some(InterruptCause::Idle),
                Ok(WaitOutcome::TimedOut) => {}
                Ok(WaitOutcome::Ready(_)) if fds[0].revents().is_empty() => {
                    return Some(InterruptCause::ReaderGone);
                }
                Ok(WaitOutcome::Ready(_)) | Err(_) => return None,
            }
        }
    }

    fn until(&self) -> Option<Instant> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).until
    }

    /// When to look again: at the end of the read that waits now, or where none waits after one
    /// period, before which the next does not end.
    fn due(&self) -> Option<Instant> {
        let next = Instant::now().checked_add(self.period?);
        earliest(self.until(), next)
    }

    fn is_idle(&self) -> bool {
        self.until().is_some_and(|until| until <= Instant::now())
    }
}
