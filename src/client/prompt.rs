//! A prompt: one message per line, replies above it as they come.

use std::time::{Duration, Instant};

use super::SessionResult;
use super::files::Files;
use super::output_sink::OutputSink;
use super::prompt_input::{InputEvent, PromptInput};
use super::receiver::{ReceiveQueue, RecvOutcome};
use super::sender::Sender;
use crate::error::{ExitCode, Failure, Phase};
use crate::flags::session::SessionFlags;
use crate::net::stdout;
use crate::net::stream::{ConnectionInfo, EndedBy, Stream};
use crate::report::Report;
use crate::report::terminal_text::{AllowedControls, TerminalEscaper};
use crate::shutdown::{Shutdown, ShutdownReason};
use crate::transfer::duplex::OnLocalEof;

/// How often the two sources, the user and the peer, are looked at in turn.
const LOOK: Duration = Duration::from_millis(15);
/// Pieces that arrive together are shown together, up to this many bytes.
const REPLY: usize = 64 << 10;
/// The SGR sequence that ends a peer's colour, so that the prompt keeps its own.
const DEFAULT_COLOUR: &[u8] = b"\x1b[0m";
/// After a person's last message, how long the peer may be silent before it ends.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Talks until the user or the peer has had enough.
pub fn run(
    stream: Stream,
    talk: &SessionFlags,
    mut files: Files,
    report: &Report,
    stop: &Shutdown,
) -> SessionResult {
    let Stream { reader, writer, hangup, facts } = stream;
    let (sent_tap, received_tap) = files.taps();
    let taker = OutputSink::new(talk, &mut files);
    let opened = ReceiveQueue::open(reader, &facts, received_tap, talk, report).and_then(|inbox| {
        PromptInput::open(taker.is_terminal(), report).map(|lines| (inbox, lines))
    });
    let (inbox, lines) = match opened {
        Ok(both) => both,
        Err(failure) => return SessionResult::not_started(failure),
    };
    let escapes = taker.is_terminal() && !talk.raw_output;
    let mut chat = PromptSession {
        shown: escapes.then(|| TerminalEscaper::new(AllowedControls::LinesAndColor)),
        has_warned: false,
        inbox,
        lines,
        outbox: Sender::new(writer, &hangup, &facts, sent_tap, talk),
        taker,
        facts,
        stop,
        report,
        left_first: false,
    };
    let outcome = chat.talk(talk).map(|()| ExitCode::Done);
    let by = chat.ended_by(&outcome);
    chat.lines.close();
    hangup.shutdown();
    let outcome = outcome.or_else(|failure| match stdout::is_broken_pipe(&failure) {
        true => Ok(ExitCode::Done),
        false => Err(failure),
    });
    let (bytes_in, bytes_out) = (chat.inbox.received, chat.outbox.sent);
    SessionResult { bytes_in, bytes_out, by, outcome, picture: None }
}

struct PromptSession<'a> {
    inbox: ReceiveQueue,
    lines: PromptInput,
    outbox: Sender,
    taker: OutputSink,
    facts: ConnectionInfo,
    stop: &'a Shutdown,
    report: &'a Report,
    /// Whether our half-close came before the peer's end.
    left_first: bool,
    /// Whether the user knows that no line end is sent.
    has_warned: bool,
    /// What escapes control characters on the way to a terminal.
    shown: Option<TerminalEscaper>,
}

/// Whether an empty line ends the session instead of being sent.
fn ends_at_empty(talk: &SessionFlags) -> bool {
    !talk.keep_empty && talk.prompt_line_end().is_empty()
}

impl PromptSession<'_> {
    fn talk(&mut self, talk: &SessionFlags) -> Result<(), Failure> {
        self.stop.sleep(talk.delay).map_err(|reason| self.stopped(reason))?;
        self.inbox.moved();
        self.event_loop(talk)?;
        self.show_held()?;
        self.taker.end()
    }

    fn event_loop(&mut self, talk: &SessionFlags) -> Result<(), Failure> {
        loop {
            match self.next(LOOK)? {
                RecvOutcome::Piece(bytes) => self.print_coalesced(bytes)?,
                RecvOutcome::End => return Ok(()),
                RecvOutcome::Stopped(reason) => return Err(self.stopped(reason)),
                RecvOutcome::Late => {}
            }
            match self.lines.next() {
                Some(InputEvent::Message(text)) if text.is_empty() && ends_at_empty(talk) => {
                    return self.finish(talk);
                }
                Some(InputEvent::Message(text)) => self.send_line(text, talk)?,
                Some(InputEvent::End) => return self.finish(talk),
                None => {}
            }
        }
    }

    fn next(&mut self, patience: Duration) -> Result<RecvOutcome, Failure> {
        self.inbox.next(Some(Instant::now() + patience), &self.taker, self.stop)
    }

    /// Shows a reply. If it is the last, the prompt makes way for it first: nobody would be left to
    /// draw it above.
    fn print_coalesced(&mut self, mut reply: Vec<u8>) -> Result<(), Failure> {
        loop {
            match self.next(LOOK)? {
                RecvOutcome::Piece(more) if reply.len() < REPLY => reply.extend(more),
                RecvOutcome::Piece(more) => {
                    self.print(&reply)?;
                    reply = more;
                }
                RecvOutcome::End => {
                    self.lines.close();
                    return self.print(&reply);
                }
                RecvOutcome::Late | RecvOutcome::Stopped(_) => return self.print(&reply),
            }
        }
    }

    fn send_line(&mut self, mut message: Vec<u8>, talk: &SessionFlags) -> Result<(), Failure> {
        let line_end = talk.prompt_line_end();
        message.extend_from_slice(line_end);
        self.outbox.send(&message, self.inbox.received, self.stop)?;
        self.inbox.moved();
        if line_end.is_empty() && !std::mem::replace(&mut self.has_warned, true) {
            let why = "messages are sent without a line end (--eol lf or --eol crlf adds one)";
            self.report.warn(None, why);
        }
        self.lines.ready();
        Ok(())
    }

    /// Half-closes and shows what still comes.
    fn finish(&mut self, talk: &SessionFlags) -> Result<(), Failure> {
        self.left_first = !self.inbox.is_over();
        self.lines.close();
        match talk.on_end() {
            OnLocalEof::HangUp => return self.outbox.wait_acked(self.inbox.received, self.stop),
            OnLocalEof::KeepOpen => return self.drain_replies(talk.linger.0),
            OnLocalEof::HalfClose | OnLocalEof::SendOnly => self.outbox.finish(self.report)?,
        }
        self.drain_replies(talk.linger.0.or(self.lines.is_interactive().then_some(LAST_WORDS)))
    }

    /// Shows what still comes until the peer ends, or has been silent for as long as `patience`.
    fn drain_replies(&mut self, patience: Option<Duration>) -> Result<(), Failure> {
        loop {
            let until = patience.map(|patience| Instant::now() + patience);
            match self.inbox.next(until, &self.taker, self.stop)? {
                RecvOutcome::Piece(bytes) => self.print(&bytes)?,
                RecvOutcome::Stopped(reason) => return Err(self.stopped(reason)),
                RecvOutcome::End | RecvOutcome::Late => return Ok(()),
            }
        }
    }

    /// Shows a reply on a line of its own, above the prompt where stdout is the terminal.
    fn print(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let reply = match &mut self.shown {
            Some(shown) => shown.escape(bytes),
            None => bytes.to_vec(),
        };
        self.print_line(reply)
    }

    /// Shows what was held as the beginning of a character or a sequence.
    fn show_held(&mut self) -> Result<(), Failure> {
        let rest = self.shown.as_mut().map(TerminalEscaper::finish);
        self.print_line(rest.unwrap_or_default())
    }

    fn print_line(&mut self, mut reply: Vec<u8>) -> Result<(), Failure> {
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
            true => self.lines.print_above(|| taker.write(&reply, idle, stop)),
            false => taker.write(&reply, idle, stop),
        }
    }

    fn ended_by(&self, outcome: &Result<ExitCode, Failure>) -> EndedBy {
        match (outcome, self.stop.reason()) {
            (Err(failure), _) if failure.timed_out() => EndedBy::Timeout,
            (_, Some(ShutdownReason::Interrupt | ShutdownReason::Terminate)) => EndedBy::Signal,
            (_, Some(ShutdownReason::Deadline)) => EndedBy::Timeout,
            (Err(failure), _) if !matches!(failure.stage, Phase::Stdout | Phase::File) => {
                EndedBy::Reset
            }
            _ if self.inbox.is_over() && !self.left_first => EndedBy::Peer,
            _ => EndedBy::Us,
        }
    }

    fn stopped(&self, reason: ShutdownReason) -> Failure {
        Failure::shutdown(Phase::Receive, &self.facts.peer, reason)
    }
}
