//! A scripted session: send a message, wait for the reply, expect a pattern.

use std::time::Duration;

use super::files::Files;
use super::match_buffer::MatchBuffer;
use super::message_session::MessageSession;
use super::options::{ScriptStep, SessionOptions};
use super::pattern::Pattern;
use super::receiver::RecvOutcome;
use super::result::SessionResult;
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stream::Stream;
use crate::report::context::Context;
use crate::shutdown::ShutdownReason;
use crate::transfer::duplex::OnLocalEof;

/// How long the peer's greeting is waited for before the first message is sent.
const GREETING_TIMEOUT: Duration = Duration::from_millis(300);
/// A reply is complete when nothing more has arrived for this long.
const REPLY_GAP: Duration = Duration::from_millis(40);
/// Characters of the received text in the error of an expectation.
const MAX_SHOWN: usize = 200;

/// Runs the steps, then half-closes and prints what the peer still sends.
pub fn run(
    stream: Stream,
    options: &SessionOptions,
    files: Files,
    context: &Context,
) -> SessionResult {
    let session = match MessageSession::open(stream, options, files, context) {
        Ok(session) => session,
        Err(failure) => return SessionResult::not_started(failure),
    };
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
            self.read_until_quiet(GREETING_TIMEOUT)?;
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
        self.read_until_quiet(Duration::ZERO)?;
        if self.session.queue.at_eof {
            let why = "the peer closed before everything was sent";
            return Err(self.session.failure(Phase::Send, why).with_code(ExitCode::Partial));
        }
        self.session.send(&message)?;
        self.unmatched.clear();
        if matches!(next_step, Some(ScriptStep::Expect(_))) { Ok(()) } else { self.read_reply() }
    }

    /// Waits for a reply, up to the limit of the run.
    fn read_reply(&mut self) -> Result<(), Failure> {
        let Some(bytes) = self.session.recv_data(None)? else { return Ok(()) };
        self.print(&bytes)?;
        self.read_until_quiet(REPLY_GAP)
    }

    /// Prints what arrives until nothing has arrived for a while: `timeout` at first, then
    /// [`REPLY_GAP`].
    fn read_until_quiet(&mut self, mut timeout: Duration) -> Result<(), Failure> {
        while let Some(bytes) = self.session.recv_data(Some(timeout))? {
            self.print(&bytes)?;
            timeout = REPLY_GAP;
        }
        self.end_line()
    }

    fn expect(&mut self, pattern: &Pattern) -> Result<(), Failure> {
        let mut search = pattern.search();
        while !self.unmatched.consume_match(&mut search) {
            match self.session.recv(None)? {
                RecvOutcome::Data(bytes) => self.print(&bytes)?,
                RecvOutcome::Shutdown(ShutdownReason::Deadline) => {
                    return Err(self.expectation_failed(pattern, "before the timeout"));
                }
                RecvOutcome::Shutdown(reason) => return Err(self.session.shutdown_error(reason)),
                RecvOutcome::Eof | RecvOutcome::TimedOut => {
                    return Err(self.expectation_failed(pattern, "before the peer closed"));
                }
            }
        }
        Ok(())
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
        match self.session.options.on_local_eof {
            OnLocalEof::HangUp => {
                self.end_line()?;
                return self.session.wait_acked();
            }
            OnLocalEof::KeepOpen => {}
            _ if is_first => self.session.sender.half_close()?,
            // The peer has closed and does not need our end of stream.
            _ => drop(self.session.sender.close_write()),
        }
        // The exchange is complete: from here on the idle timeout is no failure.
        let idle_timeout = self.session.queue.idle_timeout.take();
        let timeout = self.session.options.linger.or(idle_timeout);
        loop {
            match self.session.recv(timeout)? {
                RecvOutcome::Data(bytes) => self.print(&bytes)?,
                RecvOutcome::Shutdown(
                    reason @ (ShutdownReason::Interrupt | ShutdownReason::Terminate),
                ) => return Err(self.session.shutdown_error(reason)),
                RecvOutcome::Eof
                | RecvOutcome::TimedOut
                | RecvOutcome::Shutdown(ShutdownReason::Deadline) => {
                    self.end_line()?;
                    return self.session.wait_acked();
                }
            }
        }
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
