//! A scripted talk: say something, wait for the reply, expect a pattern.

use std::time::{Duration, Instant};

use regex_lite::Regex;

use super::inbox::{Inbox, Waited};
use super::pipe::Files;
use super::{CONN, Talked, unsent};
use crate::failure::{Code, Failure, Stage};
use crate::flags::script::Step;
use crate::flags::talk::Talk;
use crate::net::stream::{Ending, Facts, Stream, Writer};
use crate::pump::stdout;
use crate::pump::tap::Tap;
use crate::report::Report;
use crate::report::escape::escape;
use crate::report::event::{Event, Side};
use crate::stop::{Reason, Stop};

/// How long a greeting may take to begin before we speak first.
const GREETING: Duration = Duration::from_millis(300);
/// A reply is over when nothing more has come for this long.
const PAUSE: Duration = Duration::from_millis(40);
/// After our half-close, how long the peer may be silent before it ends.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What an `--expect` looks at: as much as came last.
const MEMORY: usize = 1 << 20;

/// Runs the steps, then half-closes and hears the peer out.
pub fn run(stream: Stream, talk: &Talk, mut files: Files, report: &Report, stop: &Stop) -> Talked {
    let Stream { reader, writer, hangup, facts } = stream;
    let (sent_tap, received_tap) = files.taps();
    let inbox = match Inbox::open(reader, &facts, received_tap, report) {
        Ok(inbox) => inbox,
        Err(failure) => return Talked::unbegun(failure),
    };
    let mut play = Play {
        inbox,
        writer,
        tap: sent_tap,
        facts,
        stop,
        report,
        left_first: false,
        sent: 0,
        fresh: String::new(),
        at_line_start: true,
    };
    let outcome = play.perform(&talk.script.steps, talk.delay);
    let by = match (&outcome, play.inbox.is_over(), stop.reason()) {
        (Err(failure), ..) if failure.timed_out() => Ending::Timeout,
        (_, _, Some(Reason::Interrupt | Reason::Terminate)) => Ending::Signal,
        (Err(failure), ..) if failure.code != Code::Negative => Ending::Reset,
        (_, true, _) if !play.left_first => Ending::Peer,
        _ => Ending::Us,
    };
    if outcome.is_err() {
        hangup.reset();
    }
    Talked { bytes_in: play.inbox.received, bytes_out: play.sent, by, outcome, picture: None }
}

struct Play<'a> {
    inbox: Inbox,
    writer: Box<dyn Writer>,
    tap: Option<Tap>,
    facts: Facts,
    stop: &'a Stop,
    report: &'a Report,
    /// Whether our half-close came before the peer's end.
    left_first: bool,
    sent: u64,
    /// What has arrived and no `--expect` has taken yet.
    fresh: String,
    at_line_start: bool,
}

impl Play<'_> {
    fn perform(&mut self, steps: &[Step], delay: Duration) -> Result<Code, Failure> {
        self.stop.sleep(delay).map_err(|reason| self.stopped(reason))?;
        if matches!(steps.first(), Some(Step::Send(_))) {
            self.hear(GREETING)?;
        }
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Expect(pattern) => self.expect(pattern)?,
                Step::Send(message) => {
                    self.say(message)?;
                    // A reply that is expected is awaited by the expectation.
                    if !matches!(steps.get(at + 1), Some(Step::Expect(_))) {
                        self.hear_reply()?;
                    }
                }
            }
        }
        self.leave()?;
        Ok(Code::Done)
    }

    fn say(&mut self, message: &[u8]) -> Result<(), Failure> {
        self.end_line()?;
        if self.inbox.is_over() {
            let why = "the peer ended before everything was said";
            let failure = Failure::new(Stage::Send, &self.facts.peer, why);
            return Err(failure.with_code(Code::Partial));
        }
        let said = self.writer.write_all(message).and_then(|()| self.writer.flush());
        let begun = self.sent > 0 || self.inbox.received > 0;
        said.map_err(|e| unsent(&self.facts, e, begun))?;
        self.sent += message.len() as u64;
        if let Some(tap) = &mut self.tap {
            tap.see(message);
        }
        self.fresh.clear();
        Ok(())
    }

    /// Waits for a reply as long as the run may last.
    fn hear_reply(&mut self) -> Result<(), Failure> {
        match self.inbox.next(None, self.stop)? {
            Waited::Piece(bytes) => {
                self.show(&bytes)?;
                self.hear(PAUSE)
            }
            Waited::Stopped(reason) => Err(self.stopped(reason)),
            Waited::End | Waited::Late => Ok(()),
        }
    }

    /// Shows what comes until nothing has come for a while: `first` for the first piece.
    fn hear(&mut self, first: Duration) -> Result<(), Failure> {
        let mut patience = first;
        loop {
            match self.inbox.next(Some(Instant::now() + patience), self.stop)? {
                Waited::Piece(bytes) => self.show(&bytes)?,
                Waited::Stopped(reason) => return Err(self.stopped(reason)),
                Waited::End | Waited::Late => return self.end_line(),
            }
            patience = PAUSE;
        }
    }

    fn expect(&mut self, pattern: &Regex) -> Result<(), Failure> {
        loop {
            if let Some(found) = pattern.find(&self.fresh) {
                let rest = self.fresh.split_off(found.end());
                self.fresh = rest;
                return Ok(());
            }
            match self.inbox.next(None, self.stop)? {
                Waited::Piece(bytes) => self.show(&bytes)?,
                Waited::Stopped(Reason::Deadline) => return Err(self.unmet(pattern, "in time")),
                Waited::Stopped(reason) => return Err(self.stopped(reason)),
                Waited::End | Waited::Late => {
                    return Err(self.unmet(pattern, "before the peer ended"));
                }
            }
        }
    }

    /// What was expected and what came instead, both told.
    fn unmet(&mut self, pattern: &Regex, how: &str) -> Failure {
        let _ = self.end_line();
        let came: String = self.fresh.chars().take(200).collect();
        let why = format!("expected /{}/, got \"{}\" {how}", pattern.as_str(), escape(&came));
        Failure::new(Stage::Receive, &self.facts.peer, why).with_code(Code::Negative)
    }

    /// Half-closes and shows what still comes.
    fn leave(&mut self) -> Result<(), Failure> {
        self.left_first = !self.inbox.is_over();
        if self.left_first {
            self.report.tell(&Event::HalfClosed { conn: CONN, by: Side::Us, caller: None });
        }
        let finished = self.writer.finish();
        if self.left_first {
            finished.map_err(|e| Failure::new(Stage::Shutdown, &self.facts.peer, e))?;
        }
        loop {
            match self.inbox.next(Some(Instant::now() + LAST_WORDS), self.stop)? {
                Waited::Piece(bytes) => self.show(&bytes)?,
                _ => return self.end_line(),
            }
        }
    }

    fn show(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.at_line_start = bytes.ends_with(b"\n");
        self.fresh.push_str(&String::from_utf8_lossy(bytes));
        while self.fresh.len() > MEMORY {
            let cut = self.fresh.ceil_char_boundary_after(self.fresh.len() - MEMORY);
            self.fresh.drain(..cut);
        }
        stdout::write_all(bytes)
    }

    /// A reply stands on a line of its own.
    fn end_line(&mut self) -> Result<(), Failure> {
        if self.at_line_start {
            return Ok(());
        }
        self.at_line_start = true;
        stdout::write_all(b"\n")
    }

    fn stopped(&self, reason: Reason) -> Failure {
        Failure::stopped(Stage::Receive, &self.facts.peer, reason)
    }
}

/// The next place where a string may be cut.
trait Boundary {
    /// The first character boundary at or after `at`.
    fn ceil_char_boundary_after(&self, at: usize) -> usize;
}

impl Boundary for String {
    fn ceil_char_boundary_after(&self, at: usize) -> usize {
        (at..self.len()).find(|at| self.is_char_boundary(*at)).unwrap_or(self.len())
    }
}
