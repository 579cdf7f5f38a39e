//! A conversation: two flows at once, one thread each, and a referee who knows how it may end.
//!
//! ```text
//!   near reader ──up──► stream writer      near end of input: half-close, stay for the peer;
//!                                          no input: half-close after the peer's end
//!   near writer ◄─down─ stream reader      peer's end: stay until our input ends or a send fails
//! ```
//!
//! Nothing owed in either direction is dropped: what came is written before we leave, and what
//! could not be delivered is a failure.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use super::TransferOptions;
use super::directions::{Download, EventChannel, Upload, spawn};
use super::session::Session;
use crate::error::{Failure, Phase};
use crate::net::stdio::is_null_device;
use crate::net::stream::{EndedBy, Reader, Stream, Writer};
use crate::shutdown::Shutdown;

/// What we do when our own input has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLocalEof {
    /// Half-close, and stay until the peer ends.
    HalfClose,
    /// Say nothing, and stay until the peer ends.
    KeepOpen,
    /// Leave at once.
    HangUp,
    /// Half-close, and leave when all is sent and what the peer sent meanwhile is drained.
    SendOnly,
}

/// Where our bytes come from.
pub enum Input {
    /// A reader; [`OnLocalEof`] is what its end means.
    Reader(Box<dyn Reader>),
    /// The null device: no input, so our end of stream follows the peer's. A peer that sends
    /// nothing may be waiting for ours, which is worth a warning.
    Null,
    /// None on request: as the null device, without a warning.
    Ignored,
}

/// What counts as input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InputMode {
    /// Everything but the null device.
    #[default]
    NotNull,
    /// The null device too: an input that ends immediately.
    Any,
    /// Nothing.
    Ignored,
}

impl InputMode {
    /// The input that `source` is, read by what `reader` makes of it.
    pub fn input<S: AsFd>(self, source: S, reader: impl FnOnce(S) -> Box<dyn Reader>) -> Input {
        match self {
            InputMode::Ignored => Input::Ignored,
            InputMode::NotNull if is_null_device(source.as_fd()) => Input::Null,
            InputMode::NotNull | InputMode::Any => Input::Reader(reader(source)),
        }
    }
}

/// The near end of a conversation.
pub struct LocalEnd {
    /// Where our bytes come from.
    pub reader: Input,
    /// Where the peer's bytes go.
    pub writer: Box<dyn Writer>,
    /// What the reader is called in an error, with its stage.
    pub input: (Phase, String),
    /// What the writer is called in an error, with its stage.
    pub output: (Phase, String),
    /// A terminal: it never ends by itself, so we leave when the peer does.
    pub endless: bool,
}

/// How a conversation is to be held.
pub struct DuplexOptions {
    /// What we do when our own input has ended.
    pub on_end: OnLocalEof,
    /// End when nothing has moved either way for this long.
    pub idle: Option<Duration>,
    /// End well when our input has ended and the peer has sent nothing for this long.
    pub linger: Option<Duration>,
    /// Pause before the first byte of ours.
    pub delay: Duration,
    /// Whether the near reader outlives this conversation and must be let go of at its end.
    pub shared_input: bool,
    /// Whether the peer's end of stream ends the session, whatever our input still holds.
    pub exit_on_eof: bool,
    /// Whether a pulled cord lets what is under way finish: a server's drain resets what takes too
    /// long. Otherwise the conversation ends at once.
    pub finishes: bool,
}

/// What is heard of a conversation while it lasts.
pub trait DuplexObserver {
    /// We will send no more.
    fn on_local_eof(&self) {}
    /// The peer will send no more.
    fn on_peer_eof(&self) {}
    /// Nothing has come for [`SILENCE_LIMIT`], and our end of stream is unsent for want of input.
    fn peer_silent_without_input(&self) {}
    /// Time passes; called several times a second when `wants_ticks`.
    fn tick(&self) {}
    /// Whether [`DuplexObserver::tick`] is of use.
    fn needs_ticks(&self) -> bool {
        false
    }
}

/// How long a peer may be silent before [`DuplexObserver::peer_silent_without_input`].
pub const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// The warning for [`DuplexObserver::peer_silent_without_input`].
pub const NO_END_OF_INPUT: &str = "nothing received for 5 s, and no end of input was sent: the input is the null device or \
     closed (--half-close sends it immediately)";

/// How a conversation came to its end.
#[derive(Debug)]
pub struct DuplexOutcome {
    /// Who or what ended it.
    pub by: EndedBy,
    /// Whether everything owed was delivered.
    pub outcome: Result<(), Failure>,
}

/// Holds the conversation of `stream` with `near` to its end.
pub fn duplex(
    stream: Stream,
    near: LocalEnd,
    flows: (TransferOptions, TransferOptions),
    terms: DuplexOptions,
    witness: &dyn DuplexObserver,
    stop: &Shutdown,
) -> DuplexOutcome {
    match begin(stream, near, flows, &terms, stop) {
        Ok((referee, up)) => {
            let (over, release) = referee.run(&terms, witness, stop);
            if terms.shared_input {
                drop(release);
                up.map(thread::JoinHandle::join);
            }
            over
        }
        Err(failure) => DuplexOutcome { by: EndedBy::Us, outcome: Err(failure) },
    }
}

type Started = (Session, Option<thread::JoinHandle<()>>);

fn begin(
    stream: Stream,
    near: LocalEnd,
    (mut up, down): (TransferOptions, TransferOptions),
    terms: &DuplexOptions,
    stop: &Shutdown,
) -> Result<Started, Failure> {
    let Stream { reader, writer, hangup, facts } = stream;
    let LocalEnd { reader: input, writer: taker, input: from, output: to, endless } = near;
    let warns = matches!(input, Input::Null);
    let input = match input {
        Input::Reader(reader) => Some(reader),
        Input::Null | Input::Ignored => None,
    };
    let short = |e| Failure::local_resource(&facts.peer, e);
    let EventChannel { up: above, down: below, notes } = EventChannel::new().map_err(short)?;
    let (held, release) = io::pipe().map_err(short)?;
    if terms.shared_input {
        up.cancel = Some(held.into());
    }

    let mut referee = Session {
        notes,
        sent: up.meter.clone(),
        received: down.meter.clone(),
        source: named_source(input.as_deref(), from.0),
        input: from,
        output: to,
        endless,
        hangup,
        facts: facts.clone(),
        release,
        warns,
        says_goodbye: reader.raw().is_none(),
        idle_writer: None,
    };
    let may_meet_tls = !terms.shared_input;
    let fall = Download { reader, taker, flow: down, may_meet_tls, line: below };
    spawn("down", move || fall.run()).map_err(short)?;
    let Some(input) = input else {
        referee.idle_writer = Some(writer);
        return Ok((referee, None));
    };
    let half_closes = terms.on_end != OnLocalEof::KeepOpen;
    let rise = Upload::new(input, writer, up, half_closes, above);
    let up = rise
        .start(terms.delay, stop)
        .inspect_err(|_| referee.hangup.abort()) // the other thread reads already
        .map_err(short)?;
    Ok((referee, up))
}

/// A second descriptor of an input that is not stdin, to ask whether it holds more.
fn named_source(input: Option<&dyn Reader>, stage: Phase) -> Option<OwnedFd> {
    let raw = input.filter(|_| stage == Phase::File)?.raw()?;
    raw.try_clone_to_owned().ok()
}

#[cfg(test)]
mod tests;
