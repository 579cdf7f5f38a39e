//! The receive side of a session of messages.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::message_session::MessageSession;
use super::reader_thread::ReadResult;
use super::result::CONN;
use crate::error::{Failure, Phase};
use crate::report::event::{Event, Side};
use crate::shutdown::ShutdownReason;

/// How often a wait checks for a shutdown, a closed stdout and the idle timeout.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The outcome of a wait.
pub enum RecvOutcome {
    /// Bytes arrived.
    Data(Vec<u8>),
    /// The peer ended its stream.
    Eof,
    /// Nothing arrived in time.
    TimedOut,
    /// The run was interrupted, terminated, or reached its limit.
    Shutdown(ShutdownReason),
}

impl MessageSession<'_> {
    /// Waits for received bytes, for at most `timeout`, and checks meanwhile that the output is open.
    ///
    /// Fails at [`Phase::Receive`] when the connection broke, 18 once bytes had come, else 56; with
    /// 28 when the idle timeout passed; and as [`super::output_sink::OutputSink::check`] does.
    pub fn recv(&mut self, timeout: Option<Duration>) -> Result<RecvOutcome, Failure> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        while !self.at_eof {
            if let Some(reason) = self.context.shutdown.reason() {
                return Ok(RecvOutcome::Shutdown(reason));
            }
            let left =
                deadline.map_or(POLL_INTERVAL, |at| at.saturating_duration_since(Instant::now()));
            match self.reads.recv_timeout(left.min(POLL_INTERVAL)) {
                Ok(read) => return self.on_read(read),
                Err(RecvTimeoutError::Disconnected) => return self.on_read(Ok(Vec::new())),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.output.check()?;
            self.check_idle()?;
            if deadline.is_some_and(|at| at <= Instant::now()) {
                return Ok(RecvOutcome::TimedOut);
            }
        }
        Ok(RecvOutcome::Eof)
    }

    /// The next received bytes, or `None` at the end of the peer's stream or after `timeout`.
    ///
    /// Fails as [`MessageSession::recv`] does, and on shutdown.
    pub fn recv_data(&mut self, timeout: Option<Duration>) -> Result<Option<Vec<u8>>, Failure> {
        match self.recv(timeout)? {
            RecvOutcome::Data(bytes) => Ok(Some(bytes)),
            RecvOutcome::Eof | RecvOutcome::TimedOut => Ok(None),
            RecvOutcome::Shutdown(reason) => Err(self.shutdown_error(reason)),
        }
    }

    fn on_read(&mut self, read: ReadResult) -> Result<RecvOutcome, Failure> {
        let bytes = read.map_err(|e| {
            self.at_eof = true;
            Failure::receive(&self.info.peer, e, self.received)
        })?;
        if bytes.is_empty() {
            self.at_eof = true;
            let half_closed = Event::HalfClosed { conn: CONN, by: Side::Peer, peer: None };
            self.context.report.emit(&half_closed);
            return Ok(RecvOutcome::Eof);
        }
        self.received += bytes.len() as u64;
        self.last_activity = Instant::now();
        Ok(RecvOutcome::Data(bytes))
    }

    fn check_idle(&self) -> Result<(), Failure> {
        match self.idle_timeout {
            Some(limit) if self.last_activity.elapsed() >= limit => {
                Err(Failure::timeout(Phase::Receive, &self.info.peer, limit))
            }
            _ => Ok(()),
        }
    }
}
