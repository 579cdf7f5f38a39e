//! A scripted session: send a message, wait for the reply, expect a pattern.

use std::time::Duration;

use super::match_buffer::MatchBuffer;
use super::message_session::MessageSession;
use super::options::ScriptStep;
use super::pattern::Pattern;
use super::receiver::RecvOutcome;
use super::result::SessionResult;
use crate::error::{ExitCode, Failure, Phase};
use crate::shutdown::ShutdownReason;
use crate::transfer::duplex::OnLocalEof;

/// How long the peer's greeting is waited for before the first message is sent.
const GREETING_TIMEOUT: Duration = Duration::from_millis(300);
/// A reply is complete when nothing more has arrived for this long.
const REPLY_GAP: Duration = Duration::from_millis(40);
/// Characters of the received text in the error of an expectation.
const MAX_SHOWN: usize = 200;

/// What a script waits for.
///
/// | waits for \ event | bytes | end of stream | nothing in time | `--timeout` | signal |
/// |---|---|---|---|---|---|
/// | `Quiet` | `Quiet` for the gap of a reply | met | met | failure | failure |
/// | `Reply` | `Quiet` for the gap of a reply | met | – | failure | failure |
/// | `Match` | `Match` | not matched | – | not matched | failure |
/// | `End` | `End` | met | met | met | failure |
#[derive(Debug, Clone, Copy)]
enum Awaited<'a> {
    /// A pause of this length, before or after which the peer may send.
    Quiet(Duration),
    /// The first bytes of a reply.
    Reply,
    /// Bytes that match.
    Match(&'a Pattern),
    /// The peer's end of stream, or a pause of this length.
    End(Option<Duration>),
}

/// What follows from an event.
#[derive(Debug)]
enum Reaction<'a> {
    /// Bytes are printed, and this is waited for.
    Wait(Awaited<'a>),
    /// The wait is over.
    Met,
    /// The pattern was not matched until then.
    NotMatched(&'a Pattern, &'static str),
    /// The run is to end.
    Stop(ShutdownReason),
}

impl<'a> Awaited<'a> {
    fn timeout(self) -> Option<Duration> {
        match self {
            Awaited::Quiet(timeout) => Some(timeout),
            Awaited::End(timeout) => timeout,
            Awaited::Reply | Awaited::Match(_) => None,
        }
    }

    /// Looks up the table above.
    fn on(self, event: &RecvOutcome) -> Reaction<'a> {
        use ShutdownReason::Deadline;
        match (self, event) {
            (Awaited::Quiet(_) | Awaited::Reply, RecvOutcome::Data(_)) => {
                Reaction::Wait(Awaited::Quiet(REPLY_GAP))
            }
            (Awaited::Match(_) | Awaited::End(_), RecvOutcome::Data(_)) => Reaction::Wait(self),
            (Awaited::Match(pattern), RecvOutcome::Shutdown(Deadline)) => {
                Reaction::NotMatched(pattern, "before the timeout")
            }
            (Awaited::Match(pattern), RecvOutcome::Eof | RecvOutcome::TimedOut) => {
                Reaction::NotMatched(pattern, "before the peer closed")
            }
            (Awaited::End(_), RecvOutcome::Shutdown(Deadline)) => Reaction::Met,
            (_, RecvOutcome::Shutdown(reason)) => Reaction::Stop(*reason),
            (_, RecvOutcome::Eof | RecvOutcome::TimedOut) => Reaction::Met,
        }
    }
}

/// Runs the steps, then half-closes and prints what the peer still sends.
pub fn run(session: MessageSession<'_>) -> SessionResult {
    let mut script =
        ScriptSession { session, unmatched: MatchBuffer::default(), at_line_start: true };
    let outcome = script.run_steps();
    if outcome.is_err() {
        script.session.handle.abort();
    }
    script.session.result(outcome)
}

struct ScriptSession<'a> {
    session: MessageSession<'a>,
    /// What was received after the last message and is not matched by an `--expect` yet.
    unmatched: MatchBuffer,
    at_line_start: bool,
}

impl ScriptSession<'_> {
    fn run_steps(&mut self) -> Result<ExitCode, Failure> {
        let steps = &self.session.options.script;
        self.session.wait_delay()?;
        if matches!(steps.first(), Some(ScriptStep::Send(_))) {
            self.wait_for(Awaited::Quiet(GREETING_TIMEOUT))?;
        }
        for (at, step) in steps.iter().enumerate() {
            match step {
                ScriptStep::Expect(pattern) => self.expect(pattern)?,
                ScriptStep::Send(text) => self.send_text(text, steps.get(at + 1))?,
            }
        }
        self.finish()?;
        self.session.output.finish()?;
        Ok(ExitCode::Done)
    }

    /// Sends one message and reads the reply, unless the next step expects it.
    fn send_text(&mut self, text: &[u8], next_step: Option<&ScriptStep>) -> Result<(), Failure> {
        let message = [text, self.session.options.line_end].concat();
        if message.is_empty() {
            return Ok(());
        }
        // What arrived before is not the reply.
        self.wait_for(Awaited::Quiet(Duration::ZERO))?;
        if self.session.at_eof {
            let why = "the peer closed before everything was sent";
            return Err(self.session.failure(Phase::Send, why).with_code(ExitCode::Partial));
        }
        self.session.send(&message)?;
        self.unmatched.clear();
        match next_step {
            Some(ScriptStep::Expect(_)) => Ok(()),
            _ => self.wait_for(Awaited::Reply),
        }
    }

    /// Prints what arrives until `awaited` is met.
    fn wait_for(&mut self, awaited: Awaited<'_>) -> Result<(), Failure> {
        let mut awaited = Some(awaited);
        while let Some(next) = awaited {
            awaited = self.receive(next)?;
        }
        self.end_line()
    }

    fn expect(&mut self, pattern: &Pattern) -> Result<(), Failure> {
        let mut search = pattern.search();
        while !self.unmatched.consume_match(&mut search) {
            self.receive(Awaited::Match(pattern))?;
        }
        Ok(())
    }

    /// Waits for one event, and returns what is to be waited for after it, if anything is.
    fn receive<'b>(&mut self, awaited: Awaited<'b>) -> Result<Option<Awaited<'b>>, Failure> {
        let event = self.session.recv(awaited.timeout())?;
        if let RecvOutcome::Data(bytes) = &event {
            self.print(bytes)?;
        }
        match awaited.on(&event) {
            Reaction::Wait(next) => Ok(Some(next)),
            Reaction::Met => Ok(None),
            Reaction::NotMatched(pattern, when) => Err(self.expectation_failed(pattern, when)),
            Reaction::Stop(reason) => Err(self.session.shutdown_error(reason)),
        }
    }

    /// The failure that says what was expected, and what was received until `when`.
    fn expectation_failed(&mut self, pattern: &Pattern, when: &str) -> Failure {
        let _ = self.end_line();
        let received = self.unmatched.text(MAX_SHOWN);
        let why = format!("expected /{}/, got \"{received}\" {when}", pattern.text());
        self.session.failure(Phase::Receive, why).with_code(ExitCode::Negative)
    }

    /// Ends this side's stream, and prints what arrives until the peer ends its own, the limit of
    /// the run passes, or nothing has arrived for `--linger` or the idle timeout.
    fn finish(&mut self) -> Result<(), Failure> {
        let is_first = self.session.note_local_end();
        match self.session.options.duplex.on_local_eof {
            OnLocalEof::HangUp => {
                self.end_line()?;
                return self.session.wait_acked();
            }
            OnLocalEof::KeepOpen => {}
            _ if is_first => self.session.half_close()?,
            // The peer has closed and does not need our end of stream.
            _ => drop(self.session.close_write()),
        }
        // The exchange is complete: from here on the idle timeout is no failure.
        let idle_timeout = self.session.idle_timeout.take();
        self.wait_for(Awaited::End(self.session.options.duplex.linger.or(idle_timeout)))?;
        self.session.wait_acked()
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.at_line_start = bytes.ends_with(b"\n");
        self.unmatched.push(bytes);
        self.session.write_output(bytes)
    }

    /// Ends a reply's line, unless the reply did.
    fn end_line(&mut self) -> Result<(), Failure> {
        if self.at_line_start {
            return Ok(());
        }
        self.at_line_start = true;
        self.session.write_output(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern() -> Pattern {
        "ok".parse().unwrap()
    }

    /// Each cell of the table, as the name of the reaction.
    fn reactions(awaited: Awaited<'_>) -> [String; 5] {
        let events = [
            RecvOutcome::Data(b"x".to_vec()),
            RecvOutcome::Eof,
            RecvOutcome::TimedOut,
            RecvOutcome::Shutdown(ShutdownReason::Deadline),
            RecvOutcome::Shutdown(ShutdownReason::Interrupt),
        ];
        events.map(|event| match awaited.on(&event) {
            Reaction::Wait(Awaited::Quiet(gap)) => format!("quiet {}", gap.as_millis()),
            Reaction::Wait(Awaited::Reply) => "reply".into(),
            Reaction::Wait(Awaited::Match(_)) => "match".into(),
            Reaction::Wait(Awaited::End(_)) => "end".into(),
            Reaction::Met => "met".into(),
            Reaction::NotMatched(_, when) => when.into(),
            Reaction::Stop(reason) => format!("{reason:?}"),
        })
    }

    #[test]
    fn each_wait_reacts_to_each_event_as_the_table_says() {
        let (pattern, timeout) = (pattern(), Duration::from_secs(1));
        let quiet = ["quiet 40", "met", "met", "Deadline", "Interrupt"];
        assert_eq!(reactions(Awaited::Quiet(timeout)), quiet);
        assert_eq!(reactions(Awaited::Reply), quiet);
        let (closed, late) = ("before the peer closed", "before the timeout");
        let matched = ["match", closed, closed, late, "Interrupt"];
        assert_eq!(reactions(Awaited::Match(&pattern)), matched);
        assert_eq!(reactions(Awaited::End(None)), ["end", "met", "met", "met", "Interrupt"]);
    }

    #[test]
    fn only_a_match_and_a_reply_wait_without_a_timeout() {
        let (pattern, second) = (pattern(), Some(Duration::from_secs(1)));
        assert_eq!(Awaited::Quiet(Duration::from_secs(1)).timeout(), second);
        assert_eq!(Awaited::End(second).timeout(), second);
        assert_eq!(Awaited::Reply.timeout(), None);
        assert_eq!(Awaited::Match(&pattern).timeout(), None);
    }
}
