//! The outcome of a session: what ended it, and the failure that each error amounts to.

use std::io::ErrorKind;

use crate::error::{ExitCode, Failure, LayerError, Phase, message_without_errno};
use crate::net::address::Address;
use crate::net::stream::EndedBy;
use crate::shutdown::ShutdownReason;

/// How a session ended.
#[derive(Debug)]
pub struct DuplexOutcome {
    /// What ended it.
    pub by: EndedBy,
    /// Whether everything was delivered in both directions.
    pub outcome: Result<(), Failure>,
}

impl DuplexOutcome {
    /// Everything was delivered.
    pub(super) fn success(by: EndedBy) -> DuplexOutcome {
        DuplexOutcome { by, outcome: Ok(()) }
    }

    /// Something was not.
    pub(super) fn failure(by: EndedBy, failure: Failure) -> DuplexOutcome {
        DuplexOutcome { by, outcome: Err(failure) }
    }

    /// The local input failed.
    pub(super) fn input_failed((phase, name): &(Phase, String), e: &std::io::Error) -> Self {
        let failure = Failure::new(*phase, name, clone_io_error(e)).with_code(ExitCode::Read);
        DuplexOutcome::failure(EndedBy::Us, failure)
    }

    /// The local output failed. A closed stdout is no failure.
    pub(super) fn output_failed((phase, name): &(Phase, String), e: &std::io::Error) -> Self {
        if *phase == Phase::Stdout && e.kind() == ErrorKind::BrokenPipe {
            return DuplexOutcome::success(EndedBy::Us);
        }
        let failure = Failure::new(*phase, name, clone_io_error(e)).with_code(ExitCode::Write);
        DuplexOutcome::failure(EndedBy::Us, failure)
    }
}

/// What was transferred when the session failed, in bytes, and the peer's address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transferred<'a> {
    pub(super) peer: &'a Address,
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Transferred<'_> {
    /// A shutdown ended the session in `phase`: 130, 143 or 28.
    pub(super) fn shut_down(self, phase: Phase, reason: ShutdownReason) -> DuplexOutcome {
        let failure = Failure::shutdown(phase, self.peer, reason);
        DuplexOutcome::failure(reason.into(), failure)
    }

    /// Everything was sent, but the half-close failed.
    pub(super) fn finish_failed(self, e: &std::io::Error) -> DuplexOutcome {
        let failure = Failure::new(Phase::Shutdown, self.peer, clone_io_error(e));
        DuplexOutcome::failure(EndedBy::Us, failure)
    }

    /// Sending failed: 18 when the peer closed or reset the connection, or once bytes were
    /// transferred.
    pub(super) fn send_failed(self, e: &std::io::Error) -> DuplexOutcome {
        let by_peer = matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
        let begun = self.received > 0 || self.sent > 0;
        let code = if by_peer || begun { ExitCode::Partial } else { ExitCode::Send };
        let why = with_bytes(message_without_errno(e), if begun { Some(self.sent) } else { None });
        let failure = Failure::new(Phase::Send, self.peer, why).with_code(code);
        DuplexOutcome::failure(EndedBy::Reset, failure)
    }

    /// Receiving failed: 18 once bytes were received, or while sent bytes are undelivered.
    pub(super) fn receive_failed(
        self,
        e: &std::io::Error,
        has_undelivered: impl FnOnce() -> bool,
    ) -> DuplexOutcome {
        if let Some(layer) = LayerError::of(e) {
            return DuplexOutcome::failure(EndedBy::Reset, self.layer_failed(layer));
        }
        let is_partial = self.received > 0 || has_undelivered();
        let code = if is_partial { ExitCode::Partial } else { ExitCode::Receive };
        let why = with_bytes(message_without_errno(e), self.received_any());
        let failure = Failure::new(Phase::Receive, self.peer, why).with_code(code);
        DuplexOutcome::failure(EndedBy::Reset, failure)
    }

    /// A layer such as TLS failed.
    fn layer_failed(self, layer: &LayerError) -> Failure {
        let received = self.received_any().filter(|_| layer.code == ExitCode::Partial);
        let why = with_bytes(layer.why.clone(), received);
        let mut failure = Failure::new(layer.stage, self.peer, why).with_code(layer.code);
        failure.hint = layer.hint.map(str::to_string);
        failure
    }

    /// The connection is closed, and the peer's kernel has acknowledged fewer bytes than were sent.
    pub(super) fn undelivered(self, acknowledged: u64) -> DuplexOutcome {
        let (sent, missing) = (self.sent, self.sent.saturating_sub(acknowledged));
        let why = format!("the peer is gone and {missing} of {sent} bytes were not delivered");
        let failure = Failure::new(Phase::Send, self.peer, why).with_code(ExitCode::Partial);
        DuplexOutcome::failure(EndedBy::Reset, failure)
    }

    fn received_any(self) -> Option<u64> {
        Some(self.received).filter(|received| *received > 0)
    }
}

fn with_bytes(why: String, bytes: Option<u64>) -> String {
    match bytes {
        Some(bytes) => format!("{why} after {bytes} bytes"),
        None => why,
    }
}

/// The same system error once more.
fn clone_io_error(e: &std::io::Error) -> std::io::Error {
    match e.raw_os_error() {
        Some(number) => std::io::Error::from_raw_os_error(number),
        None => std::io::Error::new(e.kind(), e.to_string()),
    }
}
