//! The table of a session: when it is over, and with which outcome.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::{ACK_POLL, Session, SessionStep, has_passed};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stdio::reader_closed;
use crate::net::stream::EndedBy;
use crate::poll::earliest;
use crate::shutdown::ShutdownReason;
use crate::transfer::TransferError;
use crate::transfer::directions::DirectionState::{Done, Ending, Failed, HalfCloseFailed};
use crate::transfer::directions::DirectionState::{NoInput, Running};
use crate::transfer::options::OnLocalEof;
use crate::transfer::outcome::{DuplexOutcome, clone_io_error};

/// How long after the peer's reset our own direction has time to fail too.
const SEND_ERROR_GRACE: Duration = Duration::from_millis(60);
/// How long bytes of the peer are read after sending to it has failed.
pub(super) const DRAIN_AFTER_SEND_ERROR: Duration = Duration::from_secs(2);

impl Session<'_> {
    /// What happens, by the states of both directions. It is looked up after each event and at the
    /// deadline that the state itself names; where none is named, only an event wakes the session.
    ///
    /// | up \ down | Running | Done | Failed to read | Failed to write |
    /// |---|---|---|---|---|
    /// | Running | end of the input at the input timeout; idle limit | finish on `exit_on_eof` or a terminal; a closed connection is a lost peer; idle limit | receive error after 60 ms | output error |
    /// | NoInput | warning after 5 s, idle limit, `linger` | send our end of stream | receive error | output error |
    /// | Ending | idle limit | idle limit | receive error after 60 ms | output error |
    /// | Done | finish by `on_local_eof` or `linger`; idle limit | finish when all is acknowledged | receive error | output error |
    /// | Failed to read | input error | input error | input error | output error |
    /// | Failed to write | send error after 2 s | send error | send error | output error |
    /// | HalfCloseFailed | shutdown error; 60 ms later when the peer is gone | as Done when the peer is gone, else shutdown error | receive error | output error |
    ///
    /// Before all of this: a shutdown finishes the session, immediately or (`is_server`) as soon as
    /// nothing is in flight, and so does a closed stdout.
    pub(super) fn next_step(&self) -> SessionStep {
        if let Some(reason) = self.shutdown.reason()
            && (!self.options.is_server || self.is_quiet())
        {
            return SessionStep::Finish(self.shut_down(reason));
        }
        if self.output.standard.is_some_and(reader_closed) {
            return SessionStep::Finish(DuplexOutcome::success(EndedBy::Local));
        }
        let local_failed =
            |file, e, code| SessionStep::Finish(DuplexOutcome::local_failed(file, e, code));
        match (&self.up, &self.down) {
            (_, Failed(TransferError::Write(e))) => local_failed(&self.output, e, ExitCode::Write),
            (Failed(TransferError::Read(e)), _) => local_failed(&self.input, e, ExitCode::Read),
            (Failed(TransferError::Write(e)), Running) => {
                self.after_grace(DRAIN_AFTER_SEND_ERROR, || self.send_failed(e))
            }
            (Failed(TransferError::Write(e)), _) => SessionStep::Finish(self.send_failed(e)),
            // A direction that has bytes to send is about to fail too, which is the better error.
            (Running | Ending, Failed(TransferError::Read(e))) => {
                self.after_grace(SEND_ERROR_GRACE, || self.receive_failed(e))
            }
            (_, Failed(TransferError::Read(e))) => SessionStep::Finish(self.receive_failed(e)),
            (HalfCloseFailed(e), _) => self.after_failed_half_close(e),
            (Done, Done) => self.after_both_ends(),
            (Done | NoInput(_), Running) => self.only_receiving(),
            (Running, Done) => self.only_sending(),
            _ => self.until(None),
        }
    }

    /// A peer that is gone needs no half-close, and its end of stream arrives within the grace.
    fn after_failed_half_close(&self, e: &io::Error) -> SessionStep {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
        let is_gone = matches!(e.kind(), NotConnected | BrokenPipe | ConnectionReset);
        if is_gone && matches!(self.down, Done) {
            return self.after_both_ends();
        }
        let grace = if is_gone { SEND_ERROR_GRACE } else { Duration::ZERO };
        let failure = || Failure::new(Phase::Shutdown, &self.info.peer, clone_io_error(e));
        self.after_grace(grace, || DuplexOutcome::failure(EndedBy::Local, failure()))
    }

    fn after_grace(&self, grace: Duration, outcome: impl FnOnce() -> DuplexOutcome) -> SessionStep {
        let deadline = self.times.failed_at.map(|at| at + grace);
        match deadline {
            Some(deadline) if !has_passed(deadline) => SessionStep::Wait(Some(deadline)),
            _ => SessionStep::Finish(outcome()),
        }
    }

    /// After both ends of stream: waits until the kernel has delivered the bytes that it still holds,
    /// or has failed to.
    fn after_both_ends(&self) -> SessionStep {
        // In this order: a Unix socket's bytes vanish with its peer, which has left an error.
        let unacked = self.connection.unacked_bytes();
        let error = self.connection.socket().take_error().ok().flatten();
        let is_incomplete = self.connection.unacknowledged(self.sent.total());
        match error {
            // After the peer's close_notify a reset is the answer to our own from a peer that has
            // closed by then, and everything before it has arrived.
            Some(e) if self.sent.total() > 0 && (is_incomplete || !self.info.is_encrypted) => {
                SessionStep::Finish(self.send_failed(&e))
            }
            None if unacked > 0 && !self.connection.is_closed() => {
                SessionStep::Wait(Some(Instant::now() + ACK_POLL))
            }
            // A failed half-close has taken the error.
            None if unacked > 0 && is_incomplete => SessionStep::Finish(self.undelivered()),
            _ => SessionStep::Finish(self.completed()),
        }
    }

    /// After our end of stream, or without input.
    fn only_receiving(&self) -> SessionStep {
        if self.can_close() || self.has_lingered() {
            return SessionStep::Finish(DuplexOutcome::success(EndedBy::Local));
        }
        let on_local_eof = self.options.on_local_eof;
        let closes = matches!(on_local_eof, OnLocalEof::HangUp | OnLocalEof::SendOnly);
        let next_poll = Instant::now() + ACK_POLL;
        // Past `linger` something is still in flight.
        let linger = self.linger_deadline().map(|deadline| deadline.max(next_poll));
        self.until(earliest(closes.then_some(next_poll), linger))
    }

    /// After the peer's end of stream.
    fn only_sending(&self) -> SessionStep {
        let exit_at = self.exit_deadline();
        if self.has_terminal_input || exit_at.is_some_and(has_passed) {
            return SessionStep::Finish(self.completed());
        }
        if !reader_closed(self.connection.socket().as_fd()) {
            return match self.until(exit_at) {
                SessionStep::Wait(deadline) => SessionStep::WaitOrHangup(deadline),
                step => step,
            };
        }
        // Closed in both directions: a reset, a failed probe, a Unix peer that has closed.
        if self.is_about_to_send() {
            SessionStep::Wait(Some(Instant::now() + ACK_POLL))
        } else if self.connection.unacknowledged(self.transmitted()) {
            SessionStep::Finish(self.undelivered())
        } else {
            SessionStep::Finish(self.completed())
        }
    }

    /// Waits until `deadline`, unless the idle limit is earlier or has passed.
    fn until(&self, deadline: Option<Instant>) -> SessionStep {
        let Some(limit) = self.options.idle_timeout else { return SessionStep::Wait(deadline) };
        let idle = self.idle_since().checked_add(limit);
        let is_unacked = self.connection.unacked_bytes() > 0;
        if !idle.is_some_and(has_passed) {
            // Acknowledged bytes are no event.
            let poll = is_unacked.then(|| Instant::now() + limit / 4);
            return SessionStep::Wait(earliest(earliest(deadline, idle), poll));
        }
        let phase = if is_unacked { Phase::Send } else { Phase::Receive };
        let failure = Failure::timeout(phase, &self.info.peer, limit);
        SessionStep::Finish(DuplexOutcome::failure(EndedBy::Timeout, failure))
    }

    /// Both ends of stream were sent.
    fn completed(&self) -> DuplexOutcome {
        DuplexOutcome::success(self.times.first_eof.unwrap_or(EndedBy::Peer))
    }

    /// A shutdown: 130, 143 or 28, unless a server's session is complete.
    fn shut_down(&self, reason: ShutdownReason) -> DuplexOutcome {
        if self.options.is_server && self.is_all_sent() {
            return DuplexOutcome::success(reason.into());
        }
        let sends = matches!(self.up, Running) && self.connection.unacked_bytes() > 0;
        let phase = if sends { Phase::Send } else { Phase::Receive };
        let failure = Failure::shutdown(phase, &self.info.peer, reason);
        DuplexOutcome::failure(reason.into(), failure)
    }

    /// Sending failed; the exit code is that of [`Failure::send`].
    fn send_failed(&self, e: &io::Error) -> DuplexOutcome {
        let (sent, received) = (self.sent.total(), self.received.total());
        let failure = Failure::send(&self.info.peer, clone_io_error(e), sent, received);
        DuplexOutcome::failure(EndedBy::Reset, failure)
    }

    /// Receiving failed: as [`Failure::receive`], and 18 while bytes of the input are undelivered.
    fn receive_failed(&self, e: &io::Error) -> DuplexOutcome {
        let failure = Failure::receive(&self.info.peer, clone_io_error(e), self.received.total());
        let is_partial = failure.code == ExitCode::Receive
            && (matches!(self.up, Running) && self.has_pending_input()
                || self.connection.unacknowledged(self.sent.total()));
        let failure = if is_partial { failure.incomplete() } else { failure };
        DuplexOutcome::failure(EndedBy::Reset, failure)
    }

    /// The connection is closed, and the peer's kernel has acknowledged fewer bytes than were sent.
    fn undelivered(&self) -> DuplexOutcome {
        let sent = self.transmitted();
        let missing = sent.saturating_sub(self.connection.acknowledged().unwrap_or(0));
        let why = format!("the peer is gone and {missing} of {sent} bytes were not delivered");
        let failure = Failure::new(Phase::Send, &self.info.peer, why).with_code(ExitCode::Partial);
        DuplexOutcome::failure(EndedBy::Reset, failure)
    }

    /// How many bytes were sent. The peer's reset can arrive before the call that has sent the last
    /// ones returns and counts them; without a layer the kernel knows them.
    fn transmitted(&self) -> u64 {
        let counted = self.sent.total();
        if self.info.is_encrypted {
            return counted;
        }
        counted.max(self.connection.transmitted().unwrap_or(0))
    }
}
