//! The two directions of a session, a thread each, and the events they report.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use super::options::{DuplexOptions, OnLocalEof};
use super::{TransferError, TransferOptions, pump};
use crate::net::stdio::is_at_eof;
use crate::net::stream::{Reader, Writer};
use crate::net::tls_alert;
use crate::poll::{WakePipe, wake};
use crate::shutdown::Shutdown;

/// Stack of a direction's thread, in bytes: copying needs little, TLS below it some.
const STACK: usize = 256 << 10;

/// State of a direction.
pub(super) enum DirectionState {
    Running,
    /// There is no input; our end of stream is unsent.
    NoInput(Box<dyn Writer>),
    /// The input is sent; the half-close is in progress.
    Ending,
    /// The source has ended and all of it is delivered; the input is half-closed if it is to be.
    Done,
    Failed(TransferError),
    /// The input is sent; the half-close failed.
    HalfCloseFailed(io::Error),
}

impl DirectionState {
    pub(super) fn name(&self) -> &'static str {
        match self {
            DirectionState::Running => "running",
            DirectionState::NoInput(_) => "no input",
            DirectionState::Ending => "ending",
            DirectionState::Done => "done",
            DirectionState::Failed(_) => "failed",
            DirectionState::HalfCloseFailed(_) => "half-close failed",
        }
    }
}

/// The new state of a direction, as its thread reports it.
pub(super) enum DirectionEvent {
    /// From the local input to the peer.
    Up(DirectionState),
    /// From the peer to the local output.
    Down(DirectionState),
}

/// A queue of events with a descriptor that becomes readable.
pub(super) struct EventQueue {
    pub(super) events: Receiver<DirectionEvent>,
    pub(super) wake: OwnedFd,
    sender: Sender<DirectionEvent>,
    /// Held, or the pipe would hang up with its last sender, and wake the session without end.
    waker: Arc<OwnedFd>,
}

impl EventQueue {
    /// Fails when no pipe can be created.
    pub(super) fn new() -> io::Result<EventQueue> {
        let WakePipe { rx: wake, tx } = WakePipe::new()?;
        let (sender, events) = channel();
        Ok(EventQueue { events, wake, sender, waker: Arc::new(tx) })
    }

    /// A sender for one direction, whose events `event` makes.
    pub(super) fn sender(&self, event: fn(DirectionState) -> DirectionEvent) -> EventSender {
        EventSender { sender: self.sender.clone(), waker: self.waker.clone(), event }
    }
}

/// Reports the events of one direction.
pub(super) struct EventSender {
    sender: Sender<DirectionEvent>,
    waker: Arc<OwnedFd>,
    event: fn(DirectionState) -> DirectionEvent,
}

impl EventSender {
    fn send(&self, state: DirectionState) {
        // A session that is over reads no more events.
        let _ = self.sender.send((self.event)(state));
        wake(&self.waker);
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        // A bug must not leave the session waiting for a thread that has ended.
        if thread::panicking() {
            let bug = TransferError::Read(io::Error::other("internal error"));
            self.send(DirectionState::Failed(bug));
        }
    }
}

/// A direction that is to be started.
pub(super) struct Direction {
    pub(super) reader: Box<dyn Reader>,
    pub(super) writer: Box<dyn Writer>,
    pub(super) options: TransferOptions,
    pub(super) events: EventSender,
}

impl Direction {
    /// Copies from the peer to the local output, until the peer's end of stream.
    ///
    /// Fails when no thread can be created.
    pub(super) fn start_down(mut self, options: DuplexOptions) -> io::Result<()> {
        spawn("down", move || {
            let moved = if options.is_server { self.pump() } else { self.pump_unless_alert() };
            self.events.send(moved.map_or_else(DirectionState::Failed, |()| DirectionState::Done));
        })?;
        Ok(())
    }

    /// Copies from the local input to the peer, after the delay, in a thread unless there is nothing
    /// to send.
    ///
    /// Fails when no thread can be created.
    pub(super) fn start_up(
        mut self,
        options: DuplexOptions,
        shutdown: &Shutdown,
    ) -> io::Result<Option<JoinHandle<()>>> {
        // A layer's close_notify may block.
        let is_empty =
            self.writer.plain_fd().is_some() && self.reader.plain_fd().is_some_and(is_at_eof);
        if is_empty && options.delay.is_zero() {
            self.finish(Ok(()), options);
            return Ok(None);
        }
        let shutdown = shutdown.clone();
        let thread = spawn("up", move || {
            if options.delay.is_zero() || shutdown.sleep(options.delay).is_ok() {
                let moved = if is_empty { Ok(()) } else { self.pump() };
                self.finish(moved, options);
            }
        });
        thread.map(Some)
    }

    fn finish(&mut self, moved: Result<(), TransferError>, options: DuplexOptions) {
        self.events.send(match moved {
            Err(e) => DirectionState::Failed(e),
            Ok(()) if options.on_local_eof == OnLocalEof::KeepOpen => DirectionState::Done,
            Ok(()) => {
                // Before the half-close, or the peer's prompt end would seem to come first.
                self.events.send(DirectionState::Ending);
                let finished = self.writer.half_close();
                finished.map_or_else(DirectionState::HalfCloseFailed, |()| DirectionState::Done)
            }
        });
    }

    fn pump(&mut self) -> Result<(), TransferError> {
        pump(self.reader.as_mut(), self.writer.as_mut(), &mut self.options)
    }

    /// As `pump`, but fails when all that the peer sends is a TLS alert: it expects TLS.
    fn pump_unless_alert(&mut self) -> Result<(), TransferError> {
        let alerted = tls_alert::begins_with_alert(self.reader.as_mut());
        let alerted = alerted.map_err(TransferError::Read)?;
        match self.pump() {
            Ok(()) | Err(TransferError::Read(_))
                if alerted && self.options.meter.total() == tls_alert::ALERT_LEN as u64 =>
            {
                Err(TransferError::Read(tls_alert::plaintext_to_tls_error()))
            }
            done => done,
        }
    }
}

fn spawn(
    name: &str,
    direction: impl FnOnce() + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    let span = tracing::Span::current();
    let traced = move || span.in_scope(direction);
    thread::Builder::new().name(name.into()).stack_size(STACK).spawn(traced)
}
