//! What each way of breaking comes to: who ended the conversation, and with which failure.

use std::io::ErrorKind;

use super::duplex::DuplexOutcome;
use super::session::{DirectionState, Session, SessionState};
use crate::error::{ExitCode, Failure, LayerError, Phase};
use crate::net::stream::EndedBy;
use crate::shutdown::ShutdownReason;

impl Session {
    /// The cord was pulled: 130, 143 or 28.
    pub(super) fn stopped(&self, state: &SessionState, reason: ShutdownReason) -> DuplexOutcome {
        let by = reason.into();
        let stage = match (&state.up, self.hangup.unacked_bytes()) {
            (DirectionState::Running, 1..) => Phase::Send,
            _ => Phase::Receive,
        };
        failure(by, Failure::shutdown(stage, &self.facts.peer, reason))
    }

    /// Our output failed; that the reader of our stdout has gone is no failure.
    pub(super) fn output_broke(&self, e: &std::io::Error) -> DuplexOutcome {
        let (stage, name) = &self.output;
        if *stage == Phase::Stdout && e.kind() == ErrorKind::BrokenPipe {
            return success(EndedBy::Us);
        }
        failure(
            EndedBy::Us,
            Failure::new(*stage, name, clone_io_error(e)).with_code(ExitCode::Write),
        )
    }

    /// Our input failed.
    pub(super) fn input_broke(&self, e: &std::io::Error) -> DuplexOutcome {
        let (stage, name) = &self.input;
        failure(
            EndedBy::Us,
            Failure::new(*stage, name, clone_io_error(e)).with_code(ExitCode::Read),
        )
    }

    /// All was sent, but the half-close could not be.
    pub(super) fn finish_broke(&self, e: &std::io::Error) -> DuplexOutcome {
        failure(EndedBy::Us, Failure::new(Phase::Shutdown, &self.facts.peer, clone_io_error(e)))
    }

    /// Our sending broke: by the peer, what it did not take is undelivered; by something nearer,
    /// it counts as undelivered once a conversation had begun.
    pub(super) fn send_broke(&self, e: &std::io::Error) -> DuplexOutcome {
        let (sent, received) = (self.sent.total(), self.received.total());
        let broken = Failure::send(&self.facts.peer, clone_io_error(e), sent, received);
        failure(EndedBy::Reset, broken)
    }

    /// The peer's stream broke: 18 once anything had come, or while something of ours was owed.
    pub(super) fn receive_broke(&self, up: &DirectionState, e: &std::io::Error) -> DuplexOutcome {
        let pending = matches!(up, DirectionState::Running) && self.input_waits();
        let owed = pending || self.hangup.unacknowledged(self.sent.total());
        let broken = Failure::receive(&self.facts.peer, clone_io_error(e), self.received.total());
        failure(EndedBy::Reset, if owed { broken.incomplete() } else { broken })
    }

    /// The connection is gone, and the peer's kernel has not acknowledged all that was sent.
    pub(super) fn undelivered(&self) -> Failure {
        let sent = self.sent.total();
        let acknowledged = self.hangup.acknowledged().unwrap_or(0);
        let why = format!(
            "the peer is gone and {} of {sent} bytes were not delivered",
            sent.saturating_sub(acknowledged)
        );
        Failure::new(Phase::Send, &self.facts.peer, why).with_code(ExitCode::Partial)
    }
}

/// The same error once more.
fn clone_io_error(e: &std::io::Error) -> std::io::Error {
    match (e.raw_os_error(), LayerError::of(e)) {
        (Some(number), _) => std::io::Error::from_raw_os_error(number),
        (None, Some(inner)) => std::io::Error::new(e.kind(), inner.clone()),
        (None, None) => std::io::Error::new(e.kind(), e.to_string()),
    }
}

/// Everything owed was delivered.
pub(super) fn success(by: EndedBy) -> DuplexOutcome {
    DuplexOutcome { by, outcome: Ok(()) }
}

/// Something was not.
pub(super) fn failure(by: EndedBy, failure: Failure) -> DuplexOutcome {
    DuplexOutcome { by, outcome: Err(failure) }
}
