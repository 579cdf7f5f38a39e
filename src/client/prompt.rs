//! A prompt: one message per line, replies above it as they come.

use std::time::{Duration, Instant};

use super::Talked;
use super::files::Files;
use super::output_sink::Taker;
use super::prompt_input::{Line, Lines};
use super::receiver::{Inbox, Waited};
use super::sender::Outbox;
use crate::error::{Code, Failure, Stage};
use crate::flags::session::Talk;
use crate::net::stdout;
use crate::net::stream::{Ending, Facts, Stream};
use crate::report::Report;
use crate::report::terminal_text::{Allowed, Shown};
use crate::shutdown::{Reason, Stop};
use crate::transfer::duplex::OnEnd;

/// How often the two sources, the user and the peer, are looked at in turn.
const LOOK: Duration = Duration::from_millis(15);
/// Pieces that arrive together are shown together, up to this many bytes.
const REPLY: usize = 64 << 10;
/// The SGR sequence that ends a peer's colour, so that the prompt keeps its own.
const DEFAULT_COLOUR: &[u8] = b"\x1b[0m";
/// After a person's last message, how long the peer may be silent before it ends.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Talks until the user or the peer has had enough.
pub fn run(stream: Stream, talk: &Talk, mut files: Files, report: &Report, stop: &Stop) -> Talked {
    let Stream { reader, writer, hangup, facts } = stream;
    let (sent_tap, received_tap) = files.taps();
    let taker = Taker::new(talk, &mut files);
    let opened = Inbox::open(reader, &facts, received_tap, talk, report)
        .and_then(|inbox| Lines::open(taker.is_terminal(), report).map(|lines| (inbox, lines)));
    let (inbox, lines) = match opened {
        Ok(both) => both,
        Err(failure) => return Talked::unbegun(failure),
    };
    let escapes = taker.is_terminal() && !talk.raw_output;
    let mut chat = Chat {
        shown: escapes.then(|| Shown::new(Allowed::LinesAndColour)),
        has_warned: false,
        inbox,
        lines,
        outbox: Outbox::new(writer, &hangup, &facts, sent_tap, talk),
        taker,
        facts,
        stop,
        report,
        left_first: false,
    };
    let outcome = chat.talk(talk).map(|()| Code::Done);
    let by = chat.ended_by(&outcome);
    chat.lines.close();
    hangup.hang_up();
    let outcome = outcome.or_else(|failure| match stdout::reader_is_gone(&failure) {
        true => Ok(Code::Done),
        false => Err(failure),
    });
    let (bytes_in, bytes_out) = (chat.inbox.received, chat.outbox.sent);
    Talked { bytes_in, bytes_out, by, outcome, picture: None }
}

struct Chat<'a> {
    inbox: Inbox,
    lines: Lines,
    outbox: Outbox,
    taker: Taker,
    facts: Facts,
    stop: &'a Stop,
    report: &'a Report,
    /// Whether our half-close came before the peer's end.
    left_first: bool,
    /// Whether the user knows that no line end is sent.
    has_warned: bool,
    /// What escapes control characters on the way to a terminal.
    shown: Option<Shown>,
}

/// Whether an empty line ends the session instead of being sent.
fn ends_at_empty(talk: &Talk) -> bool {
    !talk.keep_empty && talk.prompt_line_end().is_empty()
}

impl Chat<'_> {
    fn talk(&mut self, talk: &Talk) -> Result<(), Failure> {
        self.stop.sleep(talk.delay).map_err(|reason| self.stopped(reason))?;
        self.inbox.moved();
        self.take_turns(talk)?;
        self.show_held()?;
        self.taker.end()
    }

    fn take_turns(&mut self, talk: &Talk) -> Result<(), Failure> {
        loop {
            match self.next(LOOK)? {
                Waited::Piece(bytes) => self.show_with_what_follows(bytes)?,
                Waited::End => return Ok(()),
                Waited::Stopped(reason) => return Err(self.stopped(reason)),
                Waited::Late => {}
            }
            match self.lines.next() {
                Some(Line::Message(text)) if text.is_empty() && ends_at_empty(talk) => {
                    return self.leave(talk);
                }
                Some(Line::Message(text)) => self.say(text, talk)?,
                Some(Line::End) => return self.leave(talk),
                None => {}
            }
        }
    }

    fn next(&mut self, patience: Duration) -> Result<Waited, Failure> {
        self.inbox.next(Some(Instant::now() + patience), &self.taker, self.stop)
    }

    /// Shows a reply. If it is the last, the prompt makes way for it first: nobody would be left to
    /// draw it above.
    fn show_with_what_follows(&mut self, mut reply: Vec<u8>) -> Result<(), Failure> {
        loop {
            match self.next(LOOK)? {
                Waited::Piece(more) if reply.len() < REPLY => reply.extend(more),
                Waited::Piece(more) => {
                    self.show(&reply)?;
                    reply = more;
                }
                Waited::End => {
                    self.lines.close();
                    return self.show(&reply);
                }
                Waited::Late | Waited::Stopped(_) => return self.show(&reply),
            }
        }
    }

    fn say(&mut self, mut message: Vec<u8>, talk: &Talk) -> Result<(), Failure> {
        let line_end = talk.prompt_line_end();
        message.extend_from_slice(line_end);
        self.outbox.say(&message, self.inbox.received, self.stop)?;
        self.inbox.moved();
        if line_end.is_empty() && !std::mem::replace(&mut self.has_warned, true) {
            let why = "messages are sent without a line end (--eol lf or --eol crlf adds one)";
            self.report.warn(None, why);
        }
        self.lines.ready();
        Ok(())
    }

    /// Half-closes and shows what still comes.
    fn leave(&mut self, talk: &Talk) -> Result<(), Failure> {
        self.left_first = !self.inbox.is_over();
        self.lines.close();
        match talk.on_end() {
            OnEnd::HangUp => return self.outbox.deliver(self.inbox.received, self.stop),
            OnEnd::KeepOpen => return self.hear_out(talk.linger.0),
            OnEnd::HalfClose | OnEnd::SendOnly => self.outbox.finish(self.report)?,
        }
        self.hear_out(talk.linger.0.or(self.lines.are_typed().then_some(LAST_WORDS)))
    }

    /// Shows what still comes until the peer ends, or has been silent for as long as `patience`.
    fn hear_out(&mut self, patience: Option<Duration>) -> Result<(), Failure> {
        loop {
            let until = patience.map(|patience| Instant::now() + patience);
            match self.inbox.next(until, &self.taker, self.stop)? {
                Waited::Piece(bytes) => self.show(&bytes)?,
                Waited::Stopped(reason) => return Err(self.stopped(reason)),
                Waited::End | Waited::Late => return Ok(()),
            }
        }
    }

    /// Shows a reply on a line of its own, above the prompt where stdout is the terminal.
    fn show(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let reply = match &mut self.shown {
            Some(shown) => shown.piece(bytes),
            None => bytes.to_vec(),
        };
        self.print(reply)
    }

    /// Shows what was held as the beginning of a character or a sequence.
    fn show_held(&mut self) -> Result<(), Failure> {
        let rest = self.shown.as_mut().map(Shown::rest);
        self.print(rest.unwrap_or_default())
    }

    fn print(&mut self, mut reply: Vec<u8>) -> Result<(), Failure> {
        if reply.is_empty() {
            return Ok(());
        }
        if !reply.ends_with(b"\n") {
            reply.push(b'\n');
        }
        if self.shown.is_some() && reply.contains(&b'\x1b') {
            reply.extend_from_slice(DEFAULT_COLOUR);
        }
        let (taker, idle, stop) = (&mut self.taker, self.inbox.idle, self.stop);
        match taker.is_terminal() {
            true => self.lines.above(|| taker.take(&reply, idle, stop)),
            false => taker.take(&reply, idle, stop),
        }
    }

    fn ended_by(&self, outcome: &Result<Code, Failure>) -> Ending {
        match (outcome, self.stop.reason()) {
            (Err(failure), _) if failure.timed_out() => Ending::Timeout,
            (_, Some(Reason::Interrupt | Reason::Terminate)) => Ending::Signal,
            (_, Some(Reason::Deadline)) => Ending::Timeout,
            (Err(failure), _) if !matches!(failure.stage, Stage::Stdout | Stage::File) => {
                Ending::Reset
            }
            _ if self.inbox.is_over() && !self.left_first => Ending::Peer,
            _ => Ending::Us,
        }
    }

    fn stopped(&self, reason: Reason) -> Failure {
        Failure::stopped(Stage::Receive, &self.facts.peer, reason)
    }
}
