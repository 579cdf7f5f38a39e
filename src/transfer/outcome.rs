//! What each way of breaking comes to: who ended the conversation, and with which failure.

use std::io::ErrorKind;

use super::duplex::DuplexOutcome;
use super::session::{DirectionState, Session, SessionState};
use crate::error::{ExitCode, Failure, LayerError, Phase, message_without_errno};
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
        let by_peer = matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
        let begun = self.received.total() > 0 || self.sent.total() > 0;
        let code = if by_peer || begun { ExitCode::Partial } else { ExitCode::Send };
        let why = match begun {
            true => format!("{} after {} bytes", message_without_errno(e), self.sent.total()),
            false => message_without_errno(e),
        };
        failure(EndedBy::Reset, Failure::new(Phase::Send, &self.facts.peer, why).with_code(code))
    }

    /// The peer's stream broke: 18 once anything had come, or while something of ours was owed.
    pub(super) fn receive_broke(&self, up: &DirectionState, e: &std::io::Error) -> DuplexOutcome {
        let came = self.received.total();
        if let Some(inner) = LayerError::of(e) {
            return failure(EndedBy::Reset, self.inner(inner, came));
        }
        let pending = matches!(up, DirectionState::Running) && self.input_waits();
        let owed = pending || self.hangup.unacknowledged(self.sent.total());
        let code = if came > 0 || owed { ExitCode::Partial } else { ExitCode::Receive };
        let why = match came {
            0 => message_without_errno(e),
            n => format!("{} after {n} bytes", message_without_errno(e)),
        };
        failure(EndedBy::Reset, Failure::new(Phase::Receive, &self.facts.peer, why).with_code(code))
    }

    /// What a layer found wrong, with what had come before it.
    fn inner(&self, inner: &LayerError, came: u64) -> Failure {
        let why = match came {
            n if n > 0 && inner.code == ExitCode::Partial => {
                format!("{} after {n} bytes", inner.why)
            }
            _ => inner.why.clone(),
        };
        let mut failure = Failure::new(inner.stage, &self.facts.peer, why).with_code(inner.code);
        failure.hint = inner.hint.map(str::to_string);
        failure
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

/// The same system error once more.
fn clone_io_error(e: &std::io::Error) -> std::io::Error {
    match e.raw_os_error() {
        Some(number) => std::io::Error::from_raw_os_error(number),
        None => std::io::Error::new(e.kind(), e.to_string()),
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
