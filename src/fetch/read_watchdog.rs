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

use crate::error::Failure;
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

/// What interrupts a wait for the peer: the end of the run, and of the reader of stdout.
#[derive(Debug, Clone)]
pub struct Interrupts {
    /// The end of the run.
    pub shutdown: Shutdown,
    /// Standard output, where its reader may exit while nothing is received.
    pub output: Option<BorrowedFd<'static>>,
}

/// How a wait for the peer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadWait {
    /// There is something to read, or the end of the stream.
    Ready,
    /// It was interrupted, by its deadline or from outside.
    Interrupted(InterruptCause),
}

impl Interrupts {
    /// Waits until `fd` is readable or hangs up. Fails as poll(2) does.
    pub fn wait(&self, fd: BorrowedFd<'_>, deadline: Option<Instant>) -> io::Result<ReadWait> {
        let mut fds = vec![PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        fds.extend(self.output.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
        let outcome = self.shutdown.wait_any(&mut fds, deadline)?;
        let stdout_closed = fds.get(1).is_some_and(|fd| fd.revents().contains(PollFlags::ERR));
        Ok(match outcome {
            WaitOutcome::Ready(_) if stdout_closed => {
                ReadWait::Interrupted(InterruptCause::StdoutClosed)
            }
            WaitOutcome::Ready(_) => ReadWait::Ready,
            WaitOutcome::TimedOut => ReadWait::Interrupted(InterruptCause::Idle),
            WaitOutcome::Shutdown(reason) => {
                ReadWait::Interrupted(InterruptCause::Shutdown(reason))
            }
        })
    }
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
    /// Fails at [`Phase::Socket`](crate::error::Phase::Socket) when no thread or pipe can be created.
    pub fn start(
        handle: ConnectionHandle,
        interval: Option<Duration>,
        interrupts: Interrupts,
        target: &str,
    ) -> Result<Watchdog, Failure> {
        let failed = |e| Failure::local_resource(target, e);
        let (stopped, stop) = io::pipe().map_err(failed)?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let stopped = stopped.into();
        let watcher = WatchdogThread { shared: shared.clone(), stopped, interval, interrupts };
        thread::Builder::new()
            .name("watchdog".into())
            .stack_size(128 << 10)
            .spawn(move || watcher.run(&handle))
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
    interrupts: Interrupts,
}

impl WatchdogThread {
    fn run(self, handle: &ConnectionHandle) {
        if let Some(cause) = self.wait() {
            self.shared.lock().unwrap_or_else(PoisonError::into_inner).cause = Some(cause);
            handle.shutdown();
        }
    }

    /// Waits for a cause; none when the watchdog is dropped.
    fn wait(&self) -> Option<InterruptCause> {
        loop {
            match self.interrupts.wait(self.stopped.as_fd(), self.next_check()) {
                Ok(ReadWait::Interrupted(InterruptCause::Idle)) if !self.is_idle() => {}
                Ok(ReadWait::Interrupted(cause)) => return Some(cause),
                Ok(ReadWait::Ready) | Err(_) => return None,
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
