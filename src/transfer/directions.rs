//! The two flows of a conversation, a thread each, and what they tell the referee.

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
use crate::shutdown::{Shutdown, wake, wake_pipe};

/// Stack of a flow's thread: a pump needs little, TLS under it some.
const STACK: usize = 256 << 10;

/// What a flow's thread tells the referee.
pub(super) enum DirectionEvent {
    /// All of our input is sent, and the half-close is about to begin.
    UpEnding,
    /// All of our input is sent, and half-closed if that was to be.
    UpDone,
    /// Our flow broke.
    UpBroke(TransferError),
    /// All is sent, but the half-close failed.
    FinishFailed(io::Error),
    /// The peer's stream has ended, all of it delivered.
    DownDone,
    /// The peer's flow broke.
    DownBroke(TransferError),
}

/// A flow's way of telling the referee.
pub(super) struct EventSender {
    notes: Sender<DirectionEvent>,
    rope: Arc<OwnedFd>,
    broke: fn(TransferError) -> DirectionEvent,
}

/// What carries the notes of both flows to the referee.
pub(super) struct EventChannel {
    pub(super) up: EventSender,
    pub(super) down: EventSender,
    pub(super) notes: EventReceiver,
}

impl EventChannel {
    /// Fails when no pipe can be had.
    pub(super) fn new() -> io::Result<EventChannel> {
        let (bell, rope) = wake_pipe()?;
        let (sender, notes) = channel();
        let rope = Arc::new(rope);
        let end = |broke| EventSender { notes: sender.clone(), rope: rope.clone(), broke };
        let (up, down) = (end(DirectionEvent::UpBroke), end(DirectionEvent::DownBroke));
        Ok(EventChannel { up, down, notes: EventReceiver { notes, bell, _rope: rope } })
    }
}

impl EventSender {
    fn send(&self, note: DirectionEvent) {
        // A referee that has left wants no more notes.
        let _ = self.notes.send(note);
        wake(&self.rope);
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        // A mistake of ours must not leave the referee waiting for a flow that is no more.
        if thread::panicking() {
            self.send((self.broke)(TransferError::Read(io::Error::other("internal error"))));
        }
    }
}

/// The referee's end of the two flows.
pub(super) struct EventReceiver {
    pub(super) notes: Receiver<DirectionEvent>,
    pub(super) bell: OwnedFd,
    /// Held, or a bell whose last flow has ended would hang up, and wake the referee without end.
    pub(super) _rope: Arc<OwnedFd>,
}

/// The peer's flow.
pub(super) struct Download {
    pub(super) reader: Box<dyn Reader>,
    pub(super) taker: Box<dyn Writer>,
    pub(super) flow: TransferOptions,
    /// Whether a TLS alert may come instead of an answer.
    pub(super) may_meet_tls: bool,
    pub(super) line: EventSender,
}

impl Download {
    /// Delivers what the peer says, to its end.
    pub(super) fn run(mut self) {
        let (from, to) = (self.reader.as_mut(), self.taker.as_mut());
        let moved = match self.may_meet_tls {
            true => pump_unless_alert(from, to, &mut self.flow),
            false => pump(from, to, &mut self.flow),
        };
        self.line.send(match moved {
            Ok(()) => DirectionEvent::DownDone,
            Err(broken) => DirectionEvent::DownBroke(broken),
        });
    }
}

/// Our flow, and how it ends.
pub(super) struct Upload {
    /// `None` has nothing more to say.
    input: Option<Box<dyn Reader>>,
    writer: Box<dyn Writer>,
    flow: TransferOptions,
    half_closes: bool,
    line: EventSender,
}

impl Upload {
    /// What `input` says goes to `writer`, and then perhaps a half-close.
    pub(super) fn new(
        input: Box<dyn Reader>,
        writer: Box<dyn Writer>,
        flow: TransferOptions,
        half_closes: bool,
        line: EventSender,
    ) -> Upload {
        // A layer has something to say at the end, which may take its time.
        let spent = writer.raw().is_some() && input.raw().is_some_and(is_at_eof);
        Upload { input: (!spent).then_some(input), writer, flow, half_closes, line }
    }

    /// Lets it flow after `delay`; where nothing is to flow it needs no thread.
    ///
    /// Fails when no thread can be had.
    pub(super) fn start(
        mut self,
        delay: Duration,
        stop: &Shutdown,
    ) -> io::Result<Option<thread::JoinHandle<()>>> {
        if self.input.is_none() && delay.is_zero() {
            self.run();
            return Ok(None);
        }
        let stop = stop.clone();
        let thread = spawn("up", move || {
            if delay.is_zero() || stop.sleep(delay).is_ok() {
                self.run();
            }
        });
        thread.map(Some)
    }

    fn run(&mut self) {
        let moved = match &mut self.input {
            Some(input) => pump(input.as_mut(), self.writer.as_mut(), &mut self.flow),
            None => Ok(()),
        };
        self.line.send(match moved {
            Err(broken) => DirectionEvent::UpBroke(broken),
            Ok(()) if self.half_closes => {
                // Told before it is done, or a quick peer's end would seem to come first.
                self.line.send(DirectionEvent::UpEnding);
                match self.writer.finish() {
                    Ok(()) => DirectionEvent::UpDone,
                    Err(e) => DirectionEvent::FinishFailed(e),
                }
            }
            Ok(()) => DirectionEvent::UpDone,
        });
    }
}

/// As [`pump`], from a peer that may answer plain text with a TLS alert and nothing else.
fn pump_unless_alert(
    from: &mut dyn Reader,
    to: &mut dyn Writer,
    flow: &mut TransferOptions,
) -> Result<(), TransferError> {
    let alerted = tls_alert::begins_with_alert(from).map_err(TransferError::Read)?;
    match pump(from, to, flow) {
        Ok(()) | Err(TransferError::Read(_))
            if alerted && flow.meter.total() == tls_alert::ALERT_LEN as u64 =>
        {
            Err(TransferError::Read(tls_alert::plaintext_to_tls_error()))
        }
        done => done,
    }
}

/// A thread of its own for a flow.
pub(super) fn spawn(
    name: &str,
    flow: impl FnOnce() + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.into()).stack_size(STACK).spawn(flow)
}
