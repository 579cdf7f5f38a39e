//! The two flows of a conversation, a thread each, and what they tell the referee.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::{Break, Flow, pump};
use crate::net::stdio::is_spent;
use crate::net::stream::{Reader, Writer};
use crate::net::tls_alert;
use crate::shutdown::{Stop, bell, ring};

/// Stack of a flow's thread: a pump needs little, TLS under it some.
const STACK: usize = 256 << 10;

/// What a flow's thread tells the referee.
pub(super) enum Note {
    /// All of our input is sent, and the half-close is about to begin.
    UpEnding,
    /// All of our input is sent, and half-closed if that was to be.
    UpDone,
    /// Our flow broke.
    UpBroke(Break),
    /// All is sent, but the half-close failed.
    FinishFailed(io::Error),
    /// The peer's stream has ended, all of it delivered.
    DownDone,
    /// The peer's flow broke.
    DownBroke(Break),
}

/// A flow's way of telling the referee.
pub(super) struct Messenger {
    notes: Sender<Note>,
    rope: Arc<OwnedFd>,
    broke: fn(Break) -> Note,
}

/// What carries the notes of both flows to the referee.
pub(super) struct Line {
    pub(super) up: Messenger,
    pub(super) down: Messenger,
    pub(super) notes: Notes,
}

impl Line {
    /// Fails when no pipe can be had.
    pub(super) fn new() -> io::Result<Line> {
        let (bell, rope) = bell()?;
        let (sender, notes) = channel();
        let rope = Arc::new(rope);
        let end = |broke| Messenger { notes: sender.clone(), rope: rope.clone(), broke };
        let (up, down) = (end(Note::UpBroke), end(Note::DownBroke));
        Ok(Line { up, down, notes: Notes { notes, bell, _rope: rope } })
    }
}

impl Messenger {
    fn tell(&self, note: Note) {
        // A referee that has left wants no more notes.
        let _ = self.notes.send(note);
        ring(&self.rope);
    }
}

impl Drop for Messenger {
    fn drop(&mut self) {
        // A mistake of ours must not leave the referee waiting for a flow that is no more.
        if thread::panicking() {
            self.tell((self.broke)(Break::Read(io::Error::other("internal error"))));
        }
    }
}

/// The referee's end of the two flows.
pub(super) struct Notes {
    pub(super) notes: Receiver<Note>,
    pub(super) bell: OwnedFd,
    /// Held, or a bell whose last flow has ended would hang up, and wake the referee without end.
    pub(super) _rope: Arc<OwnedFd>,
}

/// The peer's flow.
pub(super) struct Fall {
    pub(super) reader: Box<dyn Reader>,
    pub(super) taker: Box<dyn Writer>,
    pub(super) flow: Flow,
    /// Whether a TLS alert may come instead of an answer.
    pub(super) may_meet_tls: bool,
    pub(super) line: Messenger,
}

impl Fall {
    /// Delivers what the peer says, to its end.
    pub(super) fn run(mut self) {
        let (from, to) = (self.reader.as_mut(), self.taker.as_mut());
        let moved = match self.may_meet_tls {
            true => pump_unless_alert(from, to, &mut self.flow),
            false => pump(from, to, &mut self.flow),
        };
        self.line.tell(match moved {
            Ok(()) => Note::DownDone,
            Err(broken) => Note::DownBroke(broken),
        });
    }
}

/// Our flow, and how it ends.
pub(super) struct Rise {
    /// `None` has nothing more to say.
    input: Option<Box<dyn Reader>>,
    writer: Box<dyn Writer>,
    flow: Flow,
    half_closes: bool,
    line: Messenger,
}

impl Rise {
    /// What `input` says goes to `writer`, and then perhaps a half-close.
    pub(super) fn new(
        input: Box<dyn Reader>,
        writer: Box<dyn Writer>,
        flow: Flow,
        half_closes: bool,
        line: Messenger,
    ) -> Rise {
        // A layer has something to say at the end, which may take its time.
        let spent = writer.raw().is_some() && input.raw().is_some_and(is_spent);
        Rise { input: (!spent).then_some(input), writer, flow, half_closes, line }
    }

    /// Lets it flow after `delay`; where nothing is to flow it needs no thread.
    ///
    /// Fails when no thread can be had.
    pub(super) fn start(
        mut self,
        delay: Duration,
        stop: &Stop,
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
        self.line.tell(match moved {
            Err(broken) => Note::UpBroke(broken),
            Ok(()) if self.half_closes => {
                // Told before it is done, or a quick peer's end would seem to come first.
                self.line.tell(Note::UpEnding);
                match self.writer.finish() {
                    Ok(()) => Note::UpDone,
                    Err(e) => Note::FinishFailed(e),
                }
            }
            Ok(()) => Note::UpDone,
        });
    }
}

/// As [`pump`], from a peer that may answer plain text with a TLS alert and nothing else.
fn pump_unless_alert(
    from: &mut dyn Reader,
    to: &mut dyn Writer,
    flow: &mut Flow,
) -> Result<(), Break> {
    let alerted = tls_alert::begins_with_alert(from).map_err(Break::Read)?;
    match pump(from, to, flow) {
        Ok(()) | Err(Break::Read(_))
            if alerted && flow.meter.total() == tls_alert::ALERT as u64 =>
        {
            Err(Break::Read(tls_alert::met_tls()))
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
