//! The two directions of a session, a thread each, and the events they report.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::{TransferError, TransferOptions, pump};
use crate::net::stdio::is_at_eof;
use crate::net::stream::{Reader, Writer};
use crate::net::tls_alert;
use crate::shutdown::{Shutdown, WakePipe, wake, wake_pipe};

/// Stack of a direction's thread, in bytes: copying needs little, TLS below it some.
const STACK: usize = 256 << 10;

/// What the thread of a direction reports.
pub(super) enum DirectionEvent {
    /// The input is sent, and the half-close is about to begin.
    UpEnding,
    /// The input is sent, and half-closed if it is to be.
    UpDone,
    UpFailed(TransferError),
    /// The input is sent, but the half-close failed.
    FinishFailed(io::Error),
    /// The peer's stream has ended, and all of it is delivered.
    DownDone,
    DownFailed(TransferError),
}

/// Reports the events of one direction.
pub(super) struct EventSender {
    queue: Sender<DirectionEvent>,
    waker: Arc<OwnedFd>,
    failed: fn(TransferError) -> DirectionEvent,
}

/// A queue of events with a descriptor that becomes readable, a sender for each direction.
pub(super) struct EventChannel {
    pub(super) up: EventSender,
    pub(super) down: EventSender,
    pub(super) events: EventReceiver,
}

impl EventChannel {
    /// Fails when no pipe can be created.
    pub(super) fn new() -> io::Result<EventChannel> {
        let WakePipe { rx: wake, tx: waker } = wake_pipe()?;
        let (sender, queue) = channel();
        let waker = Arc::new(waker);
        let end = |failed| EventSender { queue: sender.clone(), waker: waker.clone(), failed };
        let (up, down) = (end(DirectionEvent::UpFailed), end(DirectionEvent::DownFailed));
        Ok(EventChannel { up, down, events: EventReceiver { queue, wake, _waker: waker } })
    }
}

impl EventSender {
    fn send(&self, event: DirectionEvent) {
        // A session that is over reads no more events.
        let _ = self.queue.send(event);
        wake(&self.waker);
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        // A bug must not leave the session waiting for a thread that has ended.
        if thread::panicking() {
            self.send((self.failed)(TransferError::Read(io::Error::other("internal error"))));
        }
    }
}

/// The session's end of the queue.
pub(super) struct EventReceiver {
    pub(super) queue: Receiver<DirectionEvent>,
    pub(super) wake: OwnedFd,
    /// Held, or the pipe would hang up with its last sender, and wake the session without end.
    _waker: Arc<OwnedFd>,
}

/// The direction from the peer to the local output.
pub(super) struct DownDirection {
    pub(super) reader: Box<dyn Reader>,
    pub(super) writer: Box<dyn Writer>,
    pub(super) options: TransferOptions,
    /// Whether a TLS alert as the only answer is an error of its own.
    pub(super) detects_alert: bool,
    pub(super) events: EventSender,
}

impl DownDirection {
    /// Copies until the peer's end of stream.
    pub(super) fn run(mut self) {
        let (from, to) = (self.reader.as_mut(), self.writer.as_mut());
        let moved = if self.detects_alert {
            pump_unless_alert(from, to, &mut self.options)
        } else {
            pump(from, to, &mut self.options)
        };
        self.events.send(match moved {
            Ok(()) => DirectionEvent::DownDone,
            Err(e) => DirectionEvent::DownFailed(e),
        });
    }
}

/// The direction from the local input to the peer.
pub(super) struct UpDirection {
    pub(super) reader: Box<dyn Reader>,
    pub(super) writer: Box<dyn Writer>,
    pub(super) options: TransferOptions,
    /// Whether the end of the input is sent as a half-close.
    pub(super) half_closes: bool,
    pub(super) events: EventSender,
}

impl UpDirection {
    /// Starts after `delay`, in a thread unless there is nothing to send.
    ///
    /// Fails when no thread can be created.
    pub(super) fn start(
        mut self,
        delay: Duration,
        shutdown: &Shutdown,
    ) -> io::Result<Option<thread::JoinHandle<()>>> {
        // A layer's close_notify may block.
        let is_empty = self.writer.raw().is_some() && self.reader.raw().is_some_and(is_at_eof);
        if is_empty && delay.is_zero() {
            self.finish(Ok(()));
            return Ok(None);
        }
        let shutdown = shutdown.clone();
        let thread = spawn("up", move || {
            if delay.is_zero() || shutdown.sleep(delay).is_ok() {
                let moved = if is_empty {
                    Ok(())
                } else {
                    pump(self.reader.as_mut(), self.writer.as_mut(), &mut self.options)
                };
                self.finish(moved);
            }
        });
        thread.map(Some)
    }

    fn finish(&mut self, moved: Result<(), TransferError>) {
        self.events.send(match moved {
            Err(e) => DirectionEvent::UpFailed(e),
            Ok(()) if self.half_closes => {
                // Before the half-close, or the peer's prompt end would seem to come first.
                self.events.send(DirectionEvent::UpEnding);
                match self.writer.finish() {
                    Ok(()) => DirectionEvent::UpDone,
                    Err(e) => DirectionEvent::FinishFailed(e),
                }
            }
            Ok(()) => DirectionEvent::UpDone,
        });
    }
}

/// As [`pump`], but fails when all that the peer sends is a TLS alert: it expects TLS.
fn pump_unless_alert(
    from: &mut dyn Reader,
    to: &mut dyn Writer,
    options: &mut TransferOptions,
) -> Result<(), TransferError> {
    let alerted = tls_alert::begins_with_alert(from).map_err(TransferError::Read)?;
    match pump(from, to, options) {
        Ok(()) | Err(TransferError::Read(_))
            if alerted && options.meter.total() == tls_alert::ALERT_LEN as u64 =>
        {
            Err(TransferError::Read(tls_alert::plaintext_to_tls_error()))
        }
        done => done,
    }
}

/// Starts the thread of a direction.
pub(super) fn spawn(
    name: &str,
    direction: impl FnOnce() + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    let span = tracing::Span::current();
    let traced = move || span.in_scope(direction);
    thread::Builder::new().name(name.into()).stack_size(STACK).spawn(traced)
}
