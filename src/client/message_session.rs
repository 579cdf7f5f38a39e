//! What a prompt and a script share: a connection over which messages are sent, and replies are
//! received and written to the output.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::files::Files;
use super::options::SessionOptions;
use super::output_sink::OutputSink;
use super::reader_thread::{ReadResult, ReaderThread};
use super::result::SessionResult;
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stdout;
use crate::net::stream::{ConnectionHandle, ConnectionInfo, EndedBy, Stream, Writer};
use crate::report::context::Context;
use crate::shutdown::ShutdownReason;
use crate::transfer::TransferOptions;
use crate::transfer::crlf::Crlf;

/// A session of messages and replies.
pub struct MessageSession<'a> {
    /// The options of the session.
    pub options: &'a SessionOptions,
    /// Events and shutdown.
    pub context: &'a Context,
    /// Closes or aborts the connection.
    pub handle: ConnectionHandle,
    /// What is known about the connection.
    pub info: ConnectionInfo,
    /// Where received bytes are written.
    pub output: OutputSink,
    /// The sending half of the connection.
    pub writer: Box<dyn Writer>,
    /// What happens to sent bytes.
    pub up: TransferOptions,
    /// What was received and is not processed yet.
    pub reads: Receiver<ReadResult>,
    /// Bytes taken out of it so far.
    pub received: u64,
    /// Whether the peer has ended its stream.
    pub at_eof: bool,
    /// `--idle-timeout`: how long a wait may last in which nothing is sent or received.
    pub idle_timeout: Option<Duration>,
    /// When bytes were last sent or received, or a local pause ended.
    pub last_activity: Instant,
    /// Whether this side ended its stream before the peer did.
    ended_first: bool,
}

impl<'a> MessageSession<'a> {
    /// Starts to receive.
    ///
    /// Fails at [`Phase::Socket`] when the thread cannot be created.
    pub fn open(
        stream: Stream,
        options: &'a SessionOptions,
        mut files: Files,
        context: &'a Context,
    ) -> Result<MessageSession<'a>, Failure> {
        let Stream { reader, writer, handle, info } = stream;
        let [up, down] = files.transfers(options.rate);
        let thread = ReaderThread { reader, options: down };
        let reads = thread.start().map_err(|e| Failure::local_resource(&info.peer, e))?;
        Ok(MessageSession {
            options,
            context,
            handle,
            info,
            output: OutputSink::new(options, &mut files),
            writer,
            up: TransferOptions { filter: options.duplex.crlf.then(Crlf::default), ..up },
            reads,
            received: 0,
            at_eof: false,
            idle_timeout: options.duplex.idle_timeout,
            last_activity: Instant::now(),
            ended_first: false,
        })
    }

    /// Waits for `--delay`.
    ///
    /// Fails on shutdown.
    pub fn wait_delay(&mut self) -> Result<(), Failure> {
        let delay = self.options.duplex.delay;
        self.context.report.log_delay(delay);
        self.context.shutdown.sleep(delay).map_err(|reason| self.shutdown_error(reason))?;
        self.last_activity = Instant::now();
        Ok(())
    }

    /// Writes received bytes.
    ///
    /// Fails as [`OutputSink::write`] does.
    pub fn write_output(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.output.write(bytes, self.idle_timeout, &self.context.shutdown)
    }

    /// Records that this side ends its stream now; returns whether it is the first to do so.
    pub fn note_local_end(&mut self) -> bool {
        self.ended_first = !self.at_eof;
        self.ended_first
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
        let (bytes_in, bytes_out) = (self.received, self.up.meter.total());
        SessionResult { bytes_in, bytes_out, by, outcome, sparkline: None }
    }

    fn ended_by(&self, outcome: &Result<ExitCode, Failure>) -> EndedBy {
        match (outcome, self.context.shutdown.reason()) {
            (Err(failure), _) if failure.timed_out() => EndedBy::Timeout,
            (_, Some(ShutdownReason::Interrupt | ShutdownReason::Terminate)) => EndedBy::Signal,
            (Err(failure), _) if is_connection_failure(failure) => EndedBy::Reset,
            _ if self.at_eof && !self.ended_first => EndedBy::Peer,
            _ => EndedBy::Local,
        }
    }
}

/// Whether the connection broke, rather than an expectation, a file or stdout.
fn is_connection_failure(failure: &Failure) -> bool {
    let is_local = matches!(failure.phase, Phase::Stdout | Phase::File);
    failure.code != ExitCode::Negative && !is_local
}
