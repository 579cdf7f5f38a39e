//! A scripted talk: say something, wait for the reply, expect a pattern.

use std::time::{Duration, Instant};

use super::SessionResult;
use super::files::Files;
use super::match_buffer::MatchBuffer;
use super::output_sink::OutputSink;
use super::receiver::{ReceiveQueue, RecvOutcome};
use super::sender::Sender;
use crate::client::pattern::Pattern;
use crate::error::{ExitCode, Failure, Phase};
use crate::flags::script::Step;
use crate::flags::session::SessionFlags;
use crate::net::stdout;
use crate::net::stream::{ConnectionInfo, EndedBy, Stream};
use crate::report::Report;
use crate::shutdown::{Shutdown, ShutdownReason};

/// How long a greeting may take to begin before we speak first.
const GREETING: Duration = Duration::from_millis(300);
/// A reply is over when nothing more has come for this long.
const PAUSE: Duration = Duration::from_millis(40);

/// Runs the steps, then half-closes and hears the peer out.
pub fn run(
    stream: Stream,
    talk: &SessionFlags,
    mut files: Files,
    report: &Report,
    stop: &Shutdown,
) -> SessionResult {
    let Stream { reader, writer, hangup, facts } = stream;
    let (sent_tap, received_tap) = files.taps();
    let inbox = match ReceiveQueue::open(reader, &facts, received_tap, talk, report) {
        Ok(inbox) => inbox,
        Err(failure) => return SessionResult::not_started(failure),
    };
    let mut play = ScriptSession {
        inbox,
        outbox: Sender::new(writer, &hangup, &facts, sent_tap, talk),
        taker: OutputSink::new(talk, &mut files),
        facts,
        stop,
        report,
        left_first: false,
        fresh: MatchBuffer::default(),
        at_line_start: true,
    };
    let outcome = play.run_steps(talk);
    let by = play.ended_by(&outcome);
    if outcome.is_err() {
        hangup.abort();
    }
    let outcome = outcome.or_else(|failure| match stdout::is_broken_pipe(&failure) {
        true => Ok(ExitCode::Done),
        false => Err(failure),
    });
    let (bytes_in, bytes_out) = (play.inbox.received, play.outbox.sent);
    SessionResult { bytes_in, bytes_out, by, outcome, picture: None }
}

struct ScriptSession<'a> {
    inbox: ReceiveQueue,
    outbox: Sender,
    taker: OutputSink,
    facts: ConnectionInfo,
    stop: &'a Shutdown,
    report: &'a Report,
    /// Whether our half-close came before the peer's end.
    left_first: bool,
    /// What has arrived and no `--expect` has taken yet.
    fresh: MatchBuffer,
    at_line_start: bool,
}

impl ScriptSession<'_> {
    fn run_steps(&mut self, talk: &SessionFlags) -> Result<ExitCode, Failure> {
        let steps = &talk.script.steps;
        self.stop.sleep(talk.delay).map_err(|reason| self.stopped(reason))?;
        self.inbox.moved();
        if matches!(steps.first(), Some(Step::Send(_))) {
            self.read_until_quiet(GREETING)?;
        }
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Expect(pattern) => self.expect(pattern)?,
                Step::Send(message) if message.is_empty() && talk.eol.is_none() => {}
                Step::Send(message) => {
                    self.send_text(&[message, talk.line_end()].concat())?;
                    // A reply that is expected is awaited by the expectation.
                    if !matches!(steps.get(at + 1), Some(Step::Expect(_))) {
                        self.read_reply()?;
                    }
                }
            }
        }
        self.finish(talk)?;
        self.taker.end()?;
        Ok(ExitCode::Done)
    }

    fn send_text(&mut self, message: &[u8]) -> Result<(), Failure> {
        // What came meanwhile is no answer to this.
        self.read_until_quiet(Duration::ZERO)?;
        if self.inbox.is_over() {
            let why = "the peer ended before everything was said";
            let failure = Failure::new(Phase::Send, &self.facts.peer, why);
            return Err(failure.with_code(ExitCode::Partial));
        }
        self.outbox.send(message, self.inbox.received, self.stop)?;
        self.inbox.moved();
        self.fresh.clear();
        Ok(())
    }

    /// Waits for a reply as long as the run may last.
    fn read_reply(&mut self) -> Result<(), Failure> {
        match self.next(None)? {
            RecvOutcome::Piece(bytes) => {
                self.print(&bytes)?;
                self.read_until_quiet(PAUSE)
            }
            RecvOutcome::Stopped(reason) => Err(self.stopped(reason)),
            RecvOutcome::End | RecvOutcome::Late => Ok(()),
        }
    }

    /// Shows what comes until nothing has come for a while: `first` for the first piece.
    fn read_until_quiet(&mut self, first: Duration) -> Result<(), Failure> {
        let mut patience = first;
        loop {
            match self.next(Some(patience))? {
                RecvOutcome::Piece(bytes) => self.print(&bytes)?,
                RecvOutcome::Stopped(reason) => return Err(self.stopped(reason)),
                RecvOutcome::End | RecvOutcome::Late => return self.end_line(),
            }
            patience = PAUSE;
        }
    }

    fn expect(&mut self, pattern: &Pattern) -> Result<(), Failure> {
        let mut search = pattern.search();
        while !self.fresh.consume_match(&mut search) {
            match self.next(None)? {
                RecvOutcome::Piece(bytes) => self.print(&bytes)?,
                RecvOutcome::Stopped(ShutdownReason::Deadline) => {
                    return Err(self.expectation_failed(pattern, "in time"));
                }
                RecvOutcome::Stopped(reason) => return Err(self.stopped(reason)),
                RecvOutcome::End | RecvOutcome::Late => {
                    return Err(self.expectation_failed(pattern, "before the peer ended"));
                }
            }
        }
        Ok(())
    }

    /// What was expected and what came instead, both told.
    fn expectation_failed(&mut self, pattern: &Pattern, how: &str) -> Failure {
        let _ = self.end_line();
        let came = self.fresh.text(200);
        let why = format!("expected /{}/, got \"{came}\" {how}", pattern.text());
        Failure::new(Phase::Receive, &self.facts.peer, why).with_code(ExitCode::Negative)
    }

    /// With the last reply in hand: half-closes and shows what still comes until the peer ends.
    /// One that never does is left when the run's time is over, or nothing has come for too long.
    fn finish(&mut self, talk: &SessionFlags) -> Result<(), Failure> {
        self.left_first = !self.inbox.is_over();
        if talk.hang_up {
            self.end_line()?;
            return self.outbox.wait_acked(self.inbox.received, self.stop);
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
                RecvOutcome::Piece(bytes) => self.print(&bytes)?,
                RecvOutcome::Stopped(
                    reason @ (ShutdownReason::Interrupt | ShutdownReason::Terminate),
                ) => {
                    return Err(self.stopped(reason));
                }
                RecvOutcome::End
                | RecvOutcome::Late
                | RecvOutcome::Stopped(ShutdownReason::Deadline) => {
                    self.end_line()?;
                    return self.outbox.wait_acked(self.inbox.received, self.stop);
                }
            }
        }
    }

    fn ended_by(&self, outcome: &Result<ExitCode, Failure>) -> EndedBy {
        match (outcome, self.stop.reason()) {
            (Err(failure), _) if failure.timed_out() => EndedBy::Timeout,
            (_, Some(ShutdownReason::Interrupt | ShutdownReason::Terminate)) => EndedBy::Signal,
            (Err(failure), _) if is_of_the_connection(failure) => EndedBy::Reset,
            _ if self.inbox.is_over() && !self.left_first => EndedBy::Peer,
            _ => EndedBy::Us,
        }
    }

    fn next(&mut self, patience: Option<Duration>) -> Result<RecvOutcome, Failure> {
        let until = patience.and_then(|patience| Instant::now().checked_add(patience));
        self.inbox.next(until, &self.taker, self.stop)
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.at_line_start = bytes.ends_with(b"\n");
        self.fresh.add(bytes);
        self.taker.write(bytes, self.inbox.idle, self.stop)
    }

    /// A reply stands on a line of its own.
    fn end_line(&mut self) -> Result<(), Failure> {
        if self.at_line_start {
            return Ok(());
        }
        self.at_line_start = true;
        self.taker.write(b"\n", self.inbox.idle, self.stop)
    }

    fn stopped(&self, reason: ShutdownReason) -> Failure {
        Failure::shutdown(Phase::Receive, &self.facts.peer, reason)
    }
}

/// Whether the connection broke, rather than an expectation or something of our own.
fn is_of_the_connection(failure: &Failure) -> bool {
    let ours = matches!(failure.stage, Phase::Stdout | Phase::File);
    failure.code != ExitCode::Negative && !ours
}
