//! Where the bytes of one direction go, and what is done when they end.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::connection_log::ConnectionLog;
use super::peer_socket::Hangup;
use super::progress::ResetCause;
use super::state::{RESET_GRACE, SessionState};
use super::stop_reason::StopReason;
use super::writer::RelayWriter;
use crate::error::{Failure, Phase};
use crate::net::stream::{EndedBy, Writer};
use crate::poll::poll_until;
use crate::relay::direction::Direction;
use crate::relay::fault::DirectionEnd;
use crate::shutdown::ShutdownReason;
use crate::transfer::{TransferError, TransferOptions};

/// How long a peer may read what came before a fault, or may send after it, before it is reset.
const FAULT_GRACE: Duration = Duration::from_secs(1);
/// Interval of checks whether the other direction has ended.
const END_CHECK: Duration = Duration::from_millis(50);

/// The receiving side of a direction.
pub struct RelayDestination {
    /// The direction.
    pub direction: Direction,
    /// Writes to the destination.
    pub writer: RelayWriter,
    /// What happens to the bytes.
    pub transfer: TransferOptions,
    /// What both directions share.
    pub state: Arc<SessionState>,
    /// Where endings are logged.
    pub log: Arc<ConnectionLog>,
}

impl RelayDestination {
    /// Does what the end of the source, or of the faults, requires.
    pub fn end(&mut self, end: DirectionEnd) {
        match end {
            DirectionEnd::Eof => self.pass_half_close(),
            DirectionEnd::Closed => self.close(),
            DirectionEnd::Reset => self.reset(),
            DirectionEnd::Discarded => self.keep_open(),
        }
    }

    /// Half-closes the destination, then watches the source.
    fn pass_half_close(&mut self) {
        self.state.set_stream_ended(self.direction, source_of(self.direction));
        // Before the half-close, or the answer to it would seem to come first.
        self.log.half_closed(self.direction);
        self.log.passed_end(self.direction);
        match self.writer.half_close() {
            Ok(()) => self.watch_source(),
            Err(e) => self.fail(TransferError::Write(e)),
        }
    }

    /// Half-closes the destination although the source has not ended; what it sends is discarded
    /// until the other direction has ended too.
    fn close(&mut self) {
        self.state.set_stream_ended(self.direction, EndedBy::Fault);
        self.log.passed_end(self.direction);
        match self.writer.half_close() {
            Ok(()) => self.watch_discarded(),
            Err(e) => self.fail(TransferError::Write(e)),
        }
    }

    /// Resets both connections, once the bytes before the reset have arrived.
    fn reset(&self) {
        self.log.passed_reset(self.direction);
        self.state.reset_both(ResetCause::Fault, FAULT_GRACE);
    }

    /// Keeps the destination open until the other direction has ended.
    fn keep_open(&mut self) {
        self.state.set_stream_ended(self.direction, source_of(self.direction));
        self.state.wait_stream_ended(self.direction.opposite());
        if !self.state.is_reset() {
            // The connection is over, and its failure too.
            let _ = self.writer.half_close();
        }
    }

    /// Waits until the source is closed in both directions, or reset.
    fn watch_source(&self) {
        let source = self.state.source(self.direction);
        loop {
            let mut fds = [PollFd::from_borrowed_fd(source.fd(), PollFlags::empty())];
            if let Err(e) = self.state.poll(&mut fds) {
                return self.fail(TransferError::Read(e));
            }
            if source.handle.closed_locally() {
                return self.fail(TransferError::Read(StopReason::Closed.into()));
            }
            match source.hangup(fds[0].revents()) {
                Some(Hangup::Closed) => return,
                Some(Hangup::Reset) => return self.fail(reset_by_peer()),
                None => {}
            }
        }
    }

    /// Waits until the source is closed, or until the other direction has ended and the source has had
    /// the time to end too: a close before would reset it.
    fn watch_discarded(&self) {
        let (state, source) = (&self.state, self.state.source(self.direction));
        let mut deadline = None;
        while !state.is_reset() && deadline.is_none_or(|at| Instant::now() < at) {
            if state.has_stream_ended(self.direction.opposite()) {
                deadline.get_or_insert_with(|| Instant::now() + FAULT_GRACE);
            }
            let mut fds = [PollFd::from_borrowed_fd(source.fd(), PollFlags::empty())];
            let polled = poll_until(&mut fds, Some(Instant::now() + END_CHECK));
            match source.hangup(fds[0].revents()) {
                Some(Hangup::Reset) if deadline.is_none() => return self.fail(reset_by_peer()),
                None if polled.is_ok() => {}
                _ => return,
            }
        }
    }

    /// Passes a failure on as a reset of both connections.
    pub fn fail(&self, error: TransferError) {
        if self.state.is_reset() {
            return;
        }
        let is_write_failure =
            matches!(&error, TransferError::Write(e) if StopReason::of(e).is_none());
        if is_write_failure {
            let other = self.direction.opposite();
            self.state.destination(self.direction).wake_reader();
            self.state.wait_thread_exited(other, Some(RESET_GRACE));
        }
        let from_destination = is_write_failure.then(|| self.direction.opposite());
        self.log.passed_reset(from_destination.unwrap_or(self.direction));
        let failure = self.failure(error);
        let grace = if failure.timed_out() { Duration::ZERO } else { RESET_GRACE };
        self.state.reset_both(ResetCause::Failure(failure), grace);
    }

    /// The failure of the connection.
    fn failure(&self, error: TransferError) -> Failure {
        let state = &self.state;
        let source = &state.source(self.direction).address;
        // Only a shutdown of the run closes the client before this session does.
        if state.client.handle.closed_locally() {
            let reason = self.log.context.shutdown.reason().unwrap_or(ShutdownReason::Terminate);
            return Failure::shutdown(Phase::Receive, &state.client.address, reason);
        }
        let received = state.meter(self.direction).total();
        match (StopReason::of(error.error()), error) {
            (Some(StopReason::Idle), _) => Failure::idle(Phase::Receive, source),
            (Some(_), _) => {
                let reset = std::io::Error::from_raw_os_error(libc::ECONNRESET);
                Failure::receive(source, reset, received)
            }
            (None, TransferError::Read(e)) => Failure::receive(source, e, received),
            (None, TransferError::Write(e)) => {
                let destination = &state.destination(self.direction).address;
                let answered = state.meter(self.direction.opposite()).total();
                Failure::send(destination, e, received, answered).incomplete()
            }
        }
    }
}

/// The peer that sends in `direction`.
fn source_of(direction: Direction) -> EndedBy {
    match direction {
        Direction::ToTarget => EndedBy::Client,
        Direction::ToClient => EndedBy::Target,
    }
}

fn reset_by_peer() -> TransferError {
    TransferError::Read(io::Error::from_raw_os_error(libc::ECONNRESET))
}

impl Drop for RelayDestination {
    fn drop(&mut self) {
        // A bug must not leave a connection without a reader.
        if std::thread::panicking() {
            let failure = Failure::local_resource("relay", std::io::Error::other("internal error"));
            self.state.reset_both(ResetCause::Failure(failure), Duration::ZERO);
        }
        self.state.set_thread_exited(self.direction);
    }
}
