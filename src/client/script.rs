//! A scripted talk: say something, wait for the reply, expect a pattern.

use std::time::{Duration, Instant};

use super::Talked;
use super::files::Files;
use super::match_buffer::Heard;
use super::output_sink::Taker;
use super::receiver::{Inbox, Waited};
use super::sender::Outbox;
use crate::client::pattern::Pattern;
use crate::error::{Code, Failure, Stage};
use crate::flags::script::Step;
use crate::flags::session::Talk;
use crate::net::stdout;
use crate::net::stream::{Ending, Facts, Stream};
use crate::report::Report;
use crate::shutdown::{Reason, Stop};

/// How long a greeting may take to begin before we speak first.
const GREETING: Duration = Duration::from_millis(300);
/// A reply is over when nothing more has come for this long.
const PAUSE: Duration = Duration::from_millis(40);

/// Runs the steps, then half-closes and hears the peer out.
pub fn run(stream: Stream, talk: &Talk, mut files: Files, report: &Report, stop: &Stop) -> Talked {
    let Stream { reader, writer, hangup, facts } = stream;
    let (sent_tap, received_tap) = files.taps();
    let inbox = match Inbox::open(reader, &facts, received_tap, talk, report) {
        Ok(inbox) => inbox,
        Err(failure) => return Talked::unbegun(failure),
    };
    let mut play = Play {
        inbox,
        outbox: Outbox::new(writer, &hangup, &facts, sent_tap, talk),
        taker: Taker::new(talk, &mut files),
        facts,
        stop,
        report,
        left_first: false,
        fresh: Heard::default(),
        at_line_start: true,
    };
    let outcome = play.perform(talk);
    let by = play.ended_by(&outcome);
    if outcome.is_err() {
        hangup.reset();
    }
    let outcome = outcome.or_else(|failure| match stdout::reader_is_gone(&failure) {
        true => Ok(Code::Done),
        false => Err(failure),
    });
    let (bytes_in, bytes_out) = (play.inbox.received, play.outbox.sent);
    Talked { bytes_in, bytes_out, by, outcome, picture: None }
}

struct Play<'a> {
    inbox: Inbox,
    outbox: Outbox,
    taker: Taker,
    facts: Facts,
    stop: &'a Stop,
    report: &'a Report,
    /// Whether our half-close came before the peer's end.
    left_first: bool,
    /// What has arrived and no `--expect` has taken yet.
    fresh: Heard,
    at_line_start: bool,
}

impl Play<'_> {
    fn perform(&mut self, talk: &Talk) -> Result<Code, Failure> {
        let steps = &talk.script.steps;
        self.stop.sleep(talk.delay).map_err(|reason| self.stopped(reason))?;
        self.inbox.moved();
        if matches!(steps.first(), Some(Step::Send(_))) {
            self.hear(GREETING)?;
        }
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Expect(pattern) => self.expect(pattern)?,
                Step::Send(message) if message.is_empty() && talk.eol.is_none() => {}
                Step::Send(message) => {
                    self.say(&[message, talk.line_end()].concat())?;
                    // A reply that is expected is awaited by the expectation.
                    if !matches!(steps.get(at + 1), Some(Step::Expect(_))) {
                        self.hear_reply()?;
                    }
                }
            }
        }
        self.leave(talk)?;
        self.taker.end()?;
        Ok(Code::Done)
    }

    fn say(&mut self, message: &[u8]) -> Result<(), Failure> {
        // What came meanwhile is no answer to this.
        self.hear(Duration::ZERO)?;
        if self.inbox.is_over() {
            let why = "the peer ended before everything was said";
            let failure = Failure::new(Stage::Send, &self.facts.peer, why);
            return Err(failure.with_code(Code::Partial));
        }
        self.outbox.say(message, self.inbox.received, self.stop)?;
        self.inbox.moved();
        self.fresh.forget();
        Ok(())
    }

    /// Waits for a reply as long as the run may last.
    fn hear_reply(&mut self) -> Result<(), Failure> {
        match self.next(None)? {
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
            match self.next(Some(patience))? {
                Waited::Piece(bytes) => self.show(&bytes)?,
                Waited::Stopped(reason) => return Err(self.stopped(reason)),
                Waited::End | Waited::Late => return self.end_line(),
            }
            patience = PAUSE;
        }
    }

    fn expect(&mut self, pattern: &Pattern) -> Result<(), Failure> {
        let mut search = pattern.search();
        while !self.fresh.take(&mut search) {
            match self.next(None)? {
                Waited::Piece(bytes) => self.show(&bytes)?,
                Waited::Stopped(Reason::Deadline) => return Err(self.unmet(pattern, "in time")),
                Waited::Stopped(reason) => return Err(self.stopped(reason)),
                Waited::End | Waited::Late => {
                    return Err(self.unmet(pattern, "before the peer ended"));
                }
            }
        }
        Ok(())
    }

    /// What was expected and what came instead, both told.
    fn unmet(&mut self, pattern: &Pattern, how: &str) -> Failure {
        let _ = self.end_line();
        let came = self.fresh.text(200);
        let why = format!("expected /{}/, got \"{came}\" {how}", pattern.text());
        Failure::new(Stage::Receive, &self.facts.peer, why).with_code(Code::Negative)
    }

    /// With the last reply in hand: half-closes and shows what still comes until the peer ends.
    /// One that never does is left when the run's time is over, or nothing has come for too long.
    fn leave(&mut self, talk: &Talk) -> Result<(), Failure> {
        self.left_first = !self.inbox.is_over();
        if talk.hang_up {
            self.end_line()?;
            return self.outbox.deliver(self.inbox.received, self.stop);
        }
        match (talk.no_half_close, self.left_first) {
            (true, _) => {}
            (false, true) => self.outbox.finish(self.report)?,
            // Nobody is there to miss it.
            (false, false) => drop(self.outbox.finish_silently()),
        }
        // A finished exchange is not idle.
        let idle = self.inbox.idle.take();
        let patience = talk.linger.0.or(idle);
        loop {
            match self.next(patience)? {
                Waited::Piece(bytes) => self.show(&bytes)?,
                Waited::Stopped(reason @ (Reason::Interrupt | Reason::Terminate)) => {
                    return Err(self.stopped(reason));
                }
                Waited::End | Waited::Late | Waited::Stopped(Reason::Deadline) => {
                    self.end_line()?;
                    return self.outbox.deliver(self.inbox.received, self.stop);
                }
            }
        }
    }

    fn ended_by(&self, outcome: &Result<Code, Failure>) -> Ending {
        match (outcome, self.stop.reason()) {
            (Err(failure), _) if failure.timed_out() => Ending::Timeout,
            (_, Some(Reason::Interrupt | Reason::Terminate)) => Ending::Signal,
            (Err(failure), _) if is_of_the_connection(failure) => Ending::Reset,
            _ if self.inbox.is_over() && !self.left_first => Ending::Peer,
            _ => Ending::Us,
        }
    }

    fn next(&mut self, patience: Option<Duration>) -> Result<Waited, Failure> {
        let until = patience.and_then(|patience| Instant::now().checked_add(patience));
        self.inbox.next(until, &self.taker, self.stop)
    }

    fn show(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.at_line_start = bytes.ends_with(b"\n");
        self.fresh.add(bytes);
        self.taker.take(bytes, self.inbox.idle, self.stop)
    }

    /// A reply stands on a line of its own.
    fn end_line(&mut self) -> Result<(), Failure> {
        if self.at_line_start {
            return Ok(());
        }
        self.at_line_start = true;
        self.taker.take(b"\n", self.inbox.idle, self.stop)
    }

    fn stopped(&self, reason: Reason) -> Failure {
        Failure::stopped(Stage::Receive, &self.facts.peer, reason)
    }
}

/// Whether the connection broke, rather than an expectation or something of our own.
fn is_of_the_connection(failure: &Failure) -> bool {
    let ours = matches!(failure.stage, Stage::Stdout | Stage::File);
    failure.code != Code::Negative && !ours
}
