//! What a prompt and a script share: a connection over which messages are sent, and replies are
//! received and written to the output.

use std::time::{Duration, Instant};

use super::files::Files;
use super::options::SessionOptions;
use super::output_sink::OutputSink;
use super::receiver::{ReaderThread, ReceiveQueue, RecvOutcome};
use super::result::SessionResult;
use super::sender::MessageSender;
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stdout;
use crate::net::stream::{ConnectionHandle, ConnectionInfo, EndedBy, Stream};
use crate::report::context::Context;
use crate::shutdown::ShutdownReason;
use crate::transfer::crlf::Crlf;
use crate::transfer::throttle::Throttle;

/// A session of messages and replies.
pub struct MessageSession<'a> {
    /// The options of the session.
    pub options: &'a SessionOptions,
    /// Events and shutdown.
    pub context: &'a Context,
    /// Closes or aborts the connection.
    pub handle: ConnectionHandle,
    /// Received bytes.
    pub queue: ReceiveQueue,
    /// Sends messages.
    pub sender: MessageSender,
    /// Where received bytes are written.
    pub output: OutputSink,
    info: ConnectionInfo,
    /// Whether this side ended its stream before the peer did.
    ended_first: bool,
}

impl<'a> MessageSession<'a> {
    /// Starts to receive.
    ///
    /// Fails as [`ReceiveQueue::open`] does.
    pub fn open(
        stream: Stream,
        options: &'a SessionOptions,
        mut files: Files,
        context: &'a Context,
    ) -> Result<MessageSession<'a>, Failure> {
        let Stream { reader, writer, handle, info } = stream;
        let taps = files.taps();
        let throttle = || options.rate.map(Throttle::new);
        let thread = ReaderThread { reader, tap: taps.received, throttle: throttle() };
        let sender = MessageSender {
            writer,
            handle: handle.clone(),
            info: info.clone(),
            context: context.clone(),
            tap: taps.sent,
            filter: options.duplex.crlf.then(Crlf::default),
            throttle: throttle(),
            sent: 0,
        };
        Ok(MessageSession {
            options,
            context,
            queue: ReceiveQueue::open(thread, &info, options.duplex.idle_timeout, context)?,
            sender,
            output: OutputSink::new(options, &mut files),
            handle,
            info,
            ended_first: false,
        })
    }

    /// Waits for `--delay`.
    ///
    /// Fails on shutdown.
    pub fn wait_delay(&mut self) -> Result<(), Failure> {
        self.context.report.log_delay(self.options.duplex.delay);
        let wait = self.context.shutdown.sleep(self.options.duplex.delay);
        wait.map_err(|reason| self.shutdown_error(reason))?;
        self.queue.note_activity();
        Ok(())
    }

    /// Waits for received bytes, for at most `timeout`.
    ///
    /// Fails as [`ReceiveQueue::recv`] does.
    pub fn recv(&mut self, timeout: Option<Duration>) -> Result<RecvOutcome, Failure> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.queue.recv(deadline, &self.output)
    }

    /// The next received bytes, or `None` at the end of the peer's stream or after `timeout`.
    ///
    /// Fails as [`ReceiveQueue::recv`] does, and on shutdown.
    pub fn recv_data(&mut self, timeout: Option<Duration>) -> Result<Option<Vec<u8>>, Failure> {
        match self.recv(timeout)? {
            RecvOutcome::Data(bytes) => Ok(Some(bytes)),
            RecvOutcome::Eof | RecvOutcome::TimedOut => Ok(None),
            RecvOutcome::Shutdown(reason) => Err(self.shutdown_error(reason)),
        }
    }

    /// Sends one message.
    ///
    /// Fails as [`MessageSender::send`] does.
    pub fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        self.sender.send(message, self.queue.received)?;
        self.queue.note_activity();
        Ok(())
    }

    /// Writes received bytes.
    ///
    /// Fails as [`OutputSink::write`] does.
    pub fn write_output(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.output.write(bytes, self.queue.idle_timeout, &self.context.shutdown)
    }

    /// Records that this side ends its stream now; returns whether it is the first to do so.
    pub fn note_local_end(&mut self) -> bool {
        self.ended_first = !self.queue.at_eof;
        self.ended_first
    }

    /// Waits until the peer has acknowledged all messages.
    ///
    /// Fails as [`MessageSender::wait_acked`] does.
    pub fn wait_acked(&self) -> Result<(), Failure> {
        self.sender.wait_acked(self.queue.received)
    }

    /// A failure with the peer as its target.
    pub fn failure(&self, phase: Phase, why: impl Into<String>) -> Failure {
        Failure::new(phase, &self.info.peer, why.into())
    }

    /// The failure of a session that a signal or the limit of the run has ended.
    pub fn shutdown_error(&self, reason: ShutdownReason) -> Failure {
        Failure::shutdown(Phase::Receive, &self.info.peer, reason)
    }

    /// The result of the session. That stdout's reader has closed is a success.
    pub fn result(&self, outcome: Result<ExitCode, Failure>) -> SessionResult {
        let by = self.ended_by(&outcome);
        let outcome = match outcome {
            Err(failure) if stdout::is_broken_pipe(&failure) => Ok(ExitCode::Done),
            outcome => outcome,
        };
        let (bytes_in, bytes_out) = (self.queue.received, self.sender.sent);
        SessionResult { bytes_in, bytes_out, by, outcome, sparkline: None }
    }

    fn ended_by(&self, outcome: &Result<ExitCode, Failure>) -> EndedBy {
        match (outcome, self.context.shutdown.reason()) {
            (Err(failure), _) if failure.timed_out() => EndedBy::Timeout,
            (_, Some(ShutdownReason::Interrupt | ShutdownReason::Terminate)) => EndedBy::Signal,
            (Err(failure), _) if is_connection_failure(failure) => EndedBy::Reset,
            _ if self.queue.at_eof && !self.ended_first => EndedBy::Peer,
            _ => EndedBy::Local,
        }
    }
}

/// Whether the connection broke, rather than an expectation, a file or stdout.
fn is_connection_failure(failure: &Failure) -> bool {
    let is_local = matches!(failure.phase, Phase::Stdout | Phase::File);
    failure.code != ExitCode::Negative && !is_local
}
