//! A session at a prompt: one message per line, replies are printed above it as they arrive.

use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use super::message_session::MessageSession;
use super::prompt_input::PromptInput;
use super::receiver::RecvOutcome;
use super::result::SessionResult;
use crate::error::{ExitCode, Failure};
use crate::net::stdio::StdStreams;
use crate::report::terminal_text::{AllowedControls, TerminalEscaper};
use crate::transfer::duplex::OnLocalEof;

/// How long the peer and the user are waited for in turn.
const POLL_INTERVAL: Duration = Duration::from_millis(15);
/// Bytes that arrive together are printed together, up to this many.
const MAX_REPLY: usize = 64 << 10;
/// The SGR sequence that ends a peer's color, so that the prompt keeps its own.
const DEFAULT_COLOR: &[u8] = b"\x1b[0m";
/// How long the peer may be silent after the last message that was typed.
const REPLY_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs the session until the input or the peer ends it.
///
/// Fails as [`PromptInput::open`] does.
pub fn run(session: MessageSession<'_>, std: StdStreams) -> Result<SessionResult, Failure> {
    let mut session = PromptSession::open(session, std)?;
    let outcome = session.run().map(|()| ExitCode::Done);
    let result = session.session.result(outcome);
    session.input.close();
    session.session.handle.shutdown();
    Ok(result)
}

struct PromptSession<'a> {
    session: MessageSession<'a>,
    input: PromptInput,
    /// Escapes the peer's control characters on the way to a terminal.
    escaper: Option<TerminalEscaper>,
    /// Whether the user was warned that no line end is sent.
    has_warned: bool,
}

impl<'a> PromptSession<'a> {
    fn open(session: MessageSession<'a>, std: StdStreams) -> Result<Self, Failure> {
        let is_terminal = session.output.is_terminal();
        let input = PromptInput::open(std, &session.output, &session.context.report)?;
        let escapes = is_terminal && !session.options.raw_output;
        let escaper = escapes.then(|| TerminalEscaper::new(AllowedControls::LinesAndColor));
        Ok(PromptSession { session, input, escaper, has_warned: false })
    }

    fn run(&mut self) -> Result<(), Failure> {
        self.session.wait_delay()?;
        self.event_loop()?;
        self.print_incomplete()?;
        self.session.output.finish()
    }

    fn event_loop(&mut self) -> Result<(), Failure> {
        loop {
            match self.session.recv(Some(POLL_INTERVAL))? {
                RecvOutcome::Data(bytes) => self.print_coalesced(bytes)?,
                RecvOutcome::Eof => return Ok(()),
                RecvOutcome::Shutdown(reason) => return Err(self.session.shutdown_error(reason)),
                RecvOutcome::TimedOut => {}
            }
            match self.input.next() {
                Ok(text) if text.is_empty() && self.ends_at_empty_line() => return self.finish(),
                Ok(text) => self.send_line(text)?,
                Err(TryRecvError::Disconnected) => return self.finish(),
                Err(TryRecvError::Empty) => {}
            }
        }
    }

    fn ends_at_empty_line(&self) -> bool {
        let options = self.session.options;
        !options.keep_empty && options.line_end.is_empty()
    }

    /// Prints a reply. Before the last one the prompt is removed, because it is not redrawn below.
    fn print_coalesced(&mut self, mut reply: Vec<u8>) -> Result<(), Failure> {
        loop {
            match self.session.recv(Some(POLL_INTERVAL))? {
                RecvOutcome::Data(more) if reply.len() < MAX_REPLY => reply.extend(more),
                RecvOutcome::Data(more) => {
                    self.print(&reply)?;
                    reply = more;
                }
                RecvOutcome::Eof => {
                    self.input.close();
                    return self.print(&reply);
                }
                RecvOutcome::TimedOut | RecvOutcome::Shutdown(_) => return self.print(&reply),
            }
        }
    }

    fn send_line(&mut self, mut message: Vec<u8>) -> Result<(), Failure> {
        let line_end = self.session.options.line_end;
        message.extend_from_slice(line_end);
        self.session.send(&message)?;
        if line_end.is_empty() && !std::mem::replace(&mut self.has_warned, true) {
            let why = "messages are sent without a line end (--eol lf or --eol crlf adds one)";
            self.session.context.report.warn(None, why);
        }
        self.input.ready();
        Ok(())
    }

    /// Ends this side's stream, and prints what the peer still sends.
    fn finish(&mut self) -> Result<(), Failure> {
        self.session.note_local_end();
        self.input.close();
        let options = self.session.options;
        match options.duplex.on_local_eof {
            OnLocalEof::HangUp => return self.session.wait_acked(),
            OnLocalEof::KeepOpen => return self.drain_replies(options.duplex.linger),
            OnLocalEof::HalfClose | OnLocalEof::SendOnly => self.session.half_close()?,
        }
        let default = self.input.is_interactive().then_some(REPLY_TIMEOUT);
        self.drain_replies(options.duplex.linger.or(default))
    }

    /// Prints what arrives until the peer ends its stream, or sends nothing for `timeout`.
    fn drain_replies(&mut self, timeout: Option<Duration>) -> Result<(), Failure> {
        while let Some(bytes) = self.session.recv_data(timeout)? {
            self.print(&bytes)?;
        }
        Ok(())
    }

    /// Prints a reply on lines of its own, above the prompt where both are on the same terminal.
    fn print(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let reply = match &mut self.escaper {
            Some(escaper) => escaper.escape(bytes),
            None => bytes.to_vec(),
        };
        self.print_line(reply)
    }

    /// Prints the beginning of a character or an escape sequence that was not completed.
    fn print_incomplete(&mut self) -> Result<(), Failure> {
        let rest = self.escaper.as_mut().map(TerminalEscaper::finish);
        self.print_line(rest.unwrap_or_default())
    }

    fn print_line(&mut self, mut reply: Vec<u8>) -> Result<(), Failure> {
        if reply.is_empty() {
            return Ok(());
        }
        if !reply.ends_with(b"\n") {
            reply.push(b'\n');
        }
        if self.escaper.is_some() && reply.contains(&b'\x1b') {
            reply.extend_from_slice(DEFAULT_COLOR);
        }
        self.input.prompt.print_above(|| self.session.write_output(&reply))
    }
}
