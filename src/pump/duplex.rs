//! A conversation: two flows at once, one thread each, and a referee who knows how it may end.
//!
//! ```text
//!   near reader ──up──► stream writer      near end of input: half-close, stay for the peer
//!   near writer ◄─down─ stream reader      peer's end: leave when ours is done, or nobody is there
//! ```
//!
//! Nothing owed in either direction is dropped: what came is written before we leave, and what
//! could not be delivered is a failure.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::referee::Referee;
use super::{Break, Flow, pump};
use crate::failure::{Code, Failure, Stage};
use crate::net::misfit;
use crate::net::stdio::is_spent;
use crate::net::stream::{Ending, Reader, Stream, Writer};
use crate::stop::{Stop, bell, ring};

/// Stack of a flow's thread: a pump needs little, TLS under it some.
const STACK: usize = 256 << 10;

/// What we do when our own input has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnEnd {
    /// Half-close, and stay until the peer ends.
    HalfClose,
    /// Say nothing, and stay until the peer ends.
    KeepOpen,
    /// Leave at once.
    HangUp,
    /// Half-close, and leave when all is sent and what the peer sent meanwhile is drained.
    SendOnly,
}

/// The near end of a conversation.
pub struct Near {
    /// Where our bytes come from; `None` says nothing and keeps our direction open.
    pub reader: Option<Box<dyn Reader>>,
    /// Where the peer's bytes go.
    pub writer: Box<dyn Writer>,
    /// What the reader is called in an error, with its stage.
    pub input: (Stage, String),
    /// What the writer is called in an error, with its stage.
    pub output: (Stage, String),
    /// A terminal: it never ends by itself, so we leave when the peer does.
    pub endless: bool,
}

/// How a conversation is to be held.
pub struct Terms {
    /// What we do when our own input has ended.
    pub on_end: OnEnd,
    /// End when nothing has moved either way for this long.
    pub idle: Option<Duration>,
    /// Pause before the first byte of ours.
    pub delay: Duration,
    /// Whether the near reader outlives this conversation and must be let go of at its end.
    pub shared_input: bool,
    /// Whether a pulled cord lets what is under way finish: a server's drain resets what takes too
    /// long. Otherwise the conversation ends at once.
    pub finishes: bool,
}

/// What is heard of a conversation while it lasts.
pub trait Witness: Send + Sync {
    /// We will send no more.
    fn we_half_closed(&self) {}
    /// The peer will send no more.
    fn peer_half_closed(&self) {}
    /// Time passes; called several times a second when `wants_ticks`.
    fn tick(&self) {}
    /// Whether [`Witness::tick`] is of use.
    fn wants_ticks(&self) -> bool {
        false
    }
}

/// How a conversation came to its end.
#[derive(Debug)]
pub struct Over {
    /// Who or what ended it.
    pub by: Ending,
    /// Whether everything owed was delivered.
    pub outcome: Result<(), Failure>,
}

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
struct Messenger {
    notes: Sender<Note>,
    rope: Arc<OwnedFd>,
    broke: fn(Break) -> Note,
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

/// Holds the conversation of `stream` with `near` to its end.
pub fn duplex(
    stream: Stream,
    near: Near,
    flows: (Flow, Flow),
    terms: Terms,
    witness: &dyn Witness,
    stop: &Stop,
) -> Over {
    match begin(stream, near, flows, &terms, stop) {
        Ok((referee, up)) => {
            let (over, release) = referee.run(&terms, witness, stop);
            if terms.shared_input {
                drop(release);
                up.map(thread::JoinHandle::join);
            }
            over
        }
        Err(failure) => Over { by: Ending::Us, outcome: Err(failure) },
    }
}

type Started = (Referee, Option<thread::JoinHandle<()>>);

fn begin(
    stream: Stream,
    near: Near,
    (mut up, mut down): (Flow, Flow),
    terms: &Terms,
    stop: &Stop,
) -> Result<Started, Failure> {
    let Stream { mut reader, writer, hangup, facts } = stream;
    let Near { reader: input, writer: mut output, input: from, output: to, endless } = near;
    let short = |e| Failure::new(Stage::Socket, &facts.peer, e).with_code(Code::Negative);
    let (bell, rope) = bell().map_err(short)?;
    let (sender, notes) = channel();
    let rope = Arc::new(rope);
    let messenger = |broke| Messenger { notes: sender.clone(), rope: rope.clone(), broke };
    let (held, release) = io::pipe().map_err(short)?;
    if terms.shared_input {
        up.cancel = Some(held.into());
    }

    let mut referee = Referee {
        notes: Notes { notes, bell, _rope: rope.clone() },
        sent: up.meter.clone(),
        received: down.meter.clone(),
        source: named_source(input.as_deref(), from.0),
        input: from,
        output: to,
        endless,
        hangup,
        facts: facts.clone(),
        release,
        has_input: input.is_some(),
        says_goodbye: reader.raw().is_none(),
        unused: None,
    };
    let below = messenger(Note::DownBroke);
    let may_meet_tls = !terms.shared_input;
    spawn("down", move || {
        let moved = match may_meet_tls {
            true => pump_unless_alert(reader.as_mut(), output.as_mut(), &mut down),
            false => pump(reader.as_mut(), output.as_mut(), &mut down),
        };
        below.tell(match moved {
            Ok(()) => Note::DownDone,
            Err(broken) => Note::DownBroke(broken),
        });
    })
    .map_err(short)?;

    let Some(input) = input else {
        referee.unused = Some(writer);
        return Ok((referee, None));
    };
    // A layer has something to say at the end, which may take its time.
    let spent = writer.raw().is_some() && input.raw().is_some_and(is_spent);
    let rise = Rise {
        input: (!spent).then_some(input),
        writer,
        flow: up,
        delay: terms.delay,
        half_closes: terms.on_end != OnEnd::KeepOpen,
        above: messenger(Note::UpBroke),
    };
    if spent && terms.delay.is_zero() {
        rise.run(stop);
        return Ok((referee, None));
    }
    let stop = stop.clone();
    let up = spawn("up", move || rise.run(&stop))
        .inspect_err(|_| referee.hangup.reset()) // the other thread reads already
        .map_err(short)?;
    Ok((referee, Some(up)))
}

/// Our flow, and how it ends.
struct Rise {
    /// `None` has nothing more to say.
    input: Option<Box<dyn Reader>>,
    writer: Box<dyn Writer>,
    flow: Flow,
    delay: Duration,
    half_closes: bool,
    above: Messenger,
}

impl Rise {
    fn run(mut self, stop: &Stop) {
        if !self.delay.is_zero() && stop.sleep(self.delay).is_err() {
            return;
        }
        let moved = match &mut self.input {
            Some(input) => pump(input.as_mut(), self.writer.as_mut(), &mut self.flow),
            None => Ok(()),
        };
        self.above.tell(match moved {
            Err(broken) => Note::UpBroke(broken),
            Ok(()) if self.half_closes => {
                // Told before it is done, or a quick peer's end would seem to come first.
                self.above.tell(Note::UpEnding);
                match self.writer.finish() {
                    Ok(()) => Note::UpDone,
                    Err(e) => Note::FinishFailed(e),
                }
            }
            Ok(()) => Note::UpDone,
        });
    }
}

/// A second descriptor of an input that is not stdin, to ask whether it holds more.
fn named_source(input: Option<&dyn Reader>, stage: Stage) -> Option<OwnedFd> {
    let raw = input.filter(|_| stage == Stage::File)?.raw()?;
    raw.try_clone_to_owned().ok()
}

/// As [`pump`], from a peer that may answer plain text with a TLS alert and nothing else.
fn pump_unless_alert(
    from: &mut dyn Reader,
    to: &mut dyn Writer,
    flow: &mut Flow,
) -> Result<(), Break> {
    let alerted = misfit::begins_with_alert(from).map_err(Break::Read)?;
    match pump(from, to, flow) {
        Ok(()) | Err(Break::Read(_)) if alerted && flow.meter.total() == misfit::ALERT as u64 => {
            Err(Break::Read(misfit::met_tls()))
        }
        done => done,
    }
}

fn spawn(name: &str, flow: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.into()).stack_size(STACK).spawn(flow)
}

#[cfg(test)]
mod tests;
