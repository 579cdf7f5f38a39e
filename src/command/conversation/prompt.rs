//! A prompt: one message per line, replies above it as they come.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::inbox::{Inbox, Waited};
use super::lines::{Line, Lines};
use super::pipe::Files;
use super::{CONN, Talked, unsent};
use crate::failure::{Code, Failure, Stage};
use crate::flags::talk::Talk;
use crate::net::stream::{Ending, Facts, Stream, Writer};
use crate::pump::stdout;
use crate::pump::tap::Tap;
use crate::report::Report;
use crate::report::event::{Event, Side};
use crate::stop::{Reason, Stop};

/// How often the two sources, the user and the peer, are looked at in turn.
const LOOK: Duration = Duration::from_millis(15);
/// Pieces that arrive together are shown together, up to this many bytes.
const REPLY: usize = 64 << 10;
/// After the last message, how long the peer may take to end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Talks until the user or the peer has had enough.
pub fn run(stream: Stream, talk: &Talk, mut files: Files, report: &Report, stop: &Stop) -> Talked {
    let Stream { reader, writer, hangup, facts } = stream;
    let (sent_tap, received_tap) = files.taps();
    let opened = Inbox::open(reader, &facts, received_tap, report)
        .and_then(|inbox| Lines::open(report).map(|lines| (inbox, lines)));
    let (inbox, lines) = match opened {
        Ok(both) => both,
        Err(failure) => return Talked::unbegun(failure),
    };
    let mut chat = Chat {
        inbox,
        lines,
        writer,
        tap: sent_tap,
        facts,
        stop,
        report,
        left_first: false,
        sent: 0,
    };
    let outcome = stop
        .sleep(talk.delay)
        .map_err(|reason| chat.stopped(reason))
        .and_then(|()| chat.talk(talk))
        .map(|()| Code::Done);
    let by = match (&outcome, chat.inbox.is_over(), stop.reason()) {
        (_, _, Some(Reason::Interrupt | Reason::Terminate)) => Ending::Signal,
        (_, _, Some(Reason::Deadline)) => Ending::Timeout,
        (Err(_), ..) => Ending::Reset,
        (_, true, _) if !chat.left_first => Ending::Peer,
        _ => Ending::Us,
    };
    chat.lines.close(report);
    hangup.hang_up();
    Talked { bytes_in: chat.inbox.received, bytes_out: chat.sent, by, outcome, picture: None }
}

struct Chat<'a> {
    inbox: Inbox,
    lines: Lines,
    writer: Box<dyn Writer>,
    tap: Option<Tap>,
    facts: Facts,
    stop: &'a Stop,
    report: &'a Report,
    /// Whether our half-close came before the peer's end.
    left_first: bool,
    sent: u64,
}

impl Chat<'_> {
    fn talk(&mut self, talk: &Talk) -> Result<(), Failure> {
        loop {
            match self.inbox.next(Some(Instant::now() + LOOK), self.stop)? {
                Waited::Piece(bytes) => self.show_with_what_follows(bytes)?,
                Waited::End => return Ok(()),
                Waited::Stopped(reason) => return Err(self.stopped(reason)),
                Waited::Late => {}
            }
            match self.lines.next() {
                Some(Line::Message(text)) if text.is_empty() && !talk.keep_empty => {
                    return self.leave();
                }
                Some(Line::Message(text)) => self.say(text, talk)?,
                Some(Line::End) => return self.leave(),
                #[cfg(feature = "prompt")]
                Some(Line::Interrupted) => return Err(self.stopped(Reason::Interrupt)),
                None => {}
            }
        }
    }

    /// Shows a reply. If it is the last, the prompt makes way for it first: nobody would be left to
    /// draw it above.
    fn show_with_what_follows(&mut self, mut reply: Vec<u8>) -> Result<(), Failure> {
        loop {
            match self.inbox.next(Some(Instant::now() + LOOK), self.stop)? {
                Waited::Piece(more) if reply.len() < REPLY => reply.extend(more),
                Waited::Piece(more) => {
                    self.show(&reply)?;
                    reply = more;
                }
                Waited::End => {
                    self.lines.close(self.report);
                    return self.show(&reply);
                }
                Waited::Late | Waited::Stopped(_) => return self.show(&reply),
            }
        }
    }

    fn say(&mut self, text: String, talk: &Talk) -> Result<(), Failure> {
        let mut message = text.into_bytes();
        message.extend_from_slice(talk.eol.map_or(b"", |eol| eol.bytes()));
        let said = self.writer.write_all(&message).and_then(|()| self.writer.flush());
        let begun = self.sent > 0 || self.inbox.received > 0;
        said.map_err(|e| unsent(&self.facts, e, begun))?;
        self.sent += message.len() as u64;
        if let Some(tap) = &mut self.tap {
            tap.see(&message);
        }
        self.lines.ready();
        Ok(())
    }

    /// Half-closes and shows what still comes.
    fn leave(&mut self) -> Result<(), Failure> {
        self.left_first = !self.inbox.is_over();
        self.report.tell(&Event::HalfClosed { conn: CONN, by: Side::Us, caller: None });
        let finished = self.writer.finish();
        finished.map_err(|e| Failure::new(Stage::Shutdown, &self.facts.peer, e))?;
        self.lines.close(self.report);
        let until = Instant::now() + LAST_WORDS;
        while let Waited::Piece(bytes) = self.inbox.next(Some(until), self.stop)? {
            self.show(&bytes)?;
        }
        Ok(())
    }

    /// A reply stands on a line of its own, above the prompt where stdout is the terminal.
    fn show(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut reply = bytes.to_vec();
        if !reply.ends_with(b"\n") {
            reply.push(b'\n');
        }
        match std::io::stdout().is_terminal() {
            true => self.lines.above(reply),
            false => stdout::write_all(&reply),
        }
    }

    fn stopped(&self, reason: Reason) -> Failure {
        Failure::stopped(Stage::Receive, &self.facts.peer, reason)
    }
}

/// The prompt itself, on stderr, for input that is not edited.
pub fn plain_prompt() {
    let _ = std::io::stderr().write_all(b"> ");
}
