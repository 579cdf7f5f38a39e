//! Interrupts reads that poll(2) cannot wait for.
//!
//! Under TLS a read may block inside the layer, where only the end of the connection reaches it.
//! A thread waits concurrently for a timeout, a signal or the end of stdout, stores the cause and
//! shuts the connection down.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::error::{ExitCode, Failure, Phase};
use crate::net::stream::ConnectionHandle;
use crate::shutdown::{Shutdown, ShutdownReason, WaitOutcome, earliest};

/// Why a read was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterruptCause {
    /// The deadline passed.
    Idle,
    /// The run is shut down.
    Shutdown(ShutdownReason),
    /// The reader of stdout is gone.
    StdoutClosed,
}

#[derive(Debug, Default)]
struct Shared {
    /// The deadline of the current read, if it has one.
    deadline: Option<Instant>,
    cause: Option<InterruptCause>,
}

/// The thread that interrupts reads; it ends when this is dropped.
#[derive(Debug)]
pub struct Watchdog {
    shared: Arc<Mutex<Shared>>,
    _stop: io::PipeWriter,
}

impl Watchdog {
    /// Starts the thread, which notices the deadline given to [`Watchdog::begin`] within `interval`.
    ///
    /// Fails at [`Phase::Socket`] when no thread or pipe can be created.
    pub fn start(
        handle: ConnectionHandle,
        interval: Option<Duration>,
        shutdown: &Shutdown,
        output: Option<BorrowedFd<'static>>,
        target: &str,
    ) -> Result<Watchdog, Failure> {
        let failed = |e| Failure::new(Phase::Socket, target, e).with_code(ExitCode::Negative);
        let (stopped, stop) = io::pipe().map_err(failed)?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let stopped = stopped.into();
        let watcher = WatchdogThread { shared: shared.clone(), stopped, interval, output };
        let shutdown = shutdown.clone();
        thread::Builder::new()
            .name("watchdog".into())
            .stack_size(128 << 10)
            .spawn(move || watcher.run(&handle, &shutdown))
            .map_err(failed)?;
        Ok(Watchdog { shared, _stop: stop })
    }

    /// A read begins, which may last until `deadline`.
    pub fn begin(&self, deadline: Option<Instant>) {
        self.lock().deadline = deadline;
    }

    /// The read has ended; returns the cause if it was interrupted.
    pub fn end(&self) -> Option<InterruptCause> {
        let mut shared = self.lock();
        shared.deadline = None;
        shared.cause
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct WatchdogThread {
    shared: Arc<Mutex<Shared>>,
    /// Reports a hang-up when the watchdog is dropped.
    stopped: OwnedFd,
    interval: Option<Duration>,
    output: Option<BorrowedFd<'static>>,
}

impl WatchdogThread {
    fn run(self, handle: &ConnectionHandle, shutdown: &Shutdown) {
        if let Some(cause) = self.wait(shutdown) {
            self.shared.lock().unwrap_or_else(PoisonError::into_inner).cause = Some(cause);
            handle.shutdown();
        }
    }

    fn wait(&self, shutdown: &Shutdown) -> Option<InterruptCause> {
        loop {
            let mut fds = vec![PollFd::from_borrowed_fd(self.stopped.as_fd(), PollFlags::IN)];
            fds.extend(self.output.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
            match shutdown.wait_any(&mut fds, self.next_check()) {
                Ok(WaitOutcome::Shutdown(reason)) => return Some(InterruptCause::Shutdown(reason)),
                Ok(WaitOutcome::TimedOut) if self.is_idle() => return Some(InterruptCause::Idle),
                Ok(WaitOutcome::TimedOut) => {}
                Ok(WaitOutcome::Ready(_)) if fds[0].revents().is_empty() => {
                    return Some(InterruptCause::StdoutClosed);
                }
                Ok(WaitOutcome::Ready(_)) | Err(_) => return None,
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).deadline
    }

    /// When to check again: at the deadline of the current read; without one after an interval,
    /// before which no deadline can pass.
    fn next_check(&self) -> Option<Instant> {
        let next = Instant::now().checked_add(self.interval?);
        earliest(self.deadline(), next)
    }

    fn is_idle(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }
}
