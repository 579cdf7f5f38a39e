//! The outcome of a session: what ended it, and the failure that each error amounts to.

use std::io::ErrorKind;

use super::local::LocalFile;
use crate::error::{ExitCode, Failure, LayerError, Phase};
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
    pub(super) fn input_failed(input: &LocalFile, e: &std::io::Error) -> DuplexOutcome {
        let failure = Failure::new(input.phase, &input.name, clone_io_error(e));
        let failure = failure.with_code(ExitCode::Read);
        DuplexOutcome::failure(EndedBy::Local, failure)
    }

    /// The local output failed. A closed stdout is no failure.
    pub(super) fn output_failed(output: &LocalFile, e: &std::io::Error) -> DuplexOutcome {
        if output.phase == Phase::Stdout && e.kind() == ErrorKind::BrokenPipe {
            return DuplexOutcome::success(EndedBy::Local);
        }
        let failure = Failure::new(output.phase, &output.name, clone_io_error(e));
        let failure = failure.with_code(ExitCode::Write);
        DuplexOutcome::failure(EndedBy::Local, failure)
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
        DuplexOutcome::failure(EndedBy::Local, failure)
    }

    /// Sending failed; the exit code is that of [`Failure::send`].
    pub(super) fn send_failed(self, e: &std::io::Error) -> DuplexOutcome {
        let failure = Failure::send(self.peer, clone_io_error(e), self.sent, self.received);
        DuplexOutcome::failure(EndedBy::Reset, failure)
    }

    /// Receiving failed: as [`Failure::receive`], and 18 while sent bytes are undelivered.
    pub(super) fn receive_failed(
        self,
        e: &std::io::Error,
        has_undelivered: impl FnOnce() -> bool,
    ) -> DuplexOutcome {
        let failure = Failure::receive(self.peer, clone_io_error(e), self.received);
        let is_partial = failure.code == ExitCode::Receive && has_undelivered();
        let failure = if is_partial { failure.incomplete() } else { failure };
        DuplexOutcome::failure(EndedBy::Reset, failure)
    }

    /// The connection is closed, and the peer's kernel has acknowledged fewer bytes than were sent.
    pub(super) fn undelivered(self, acknowledged: u64) -> DuplexOutcome {
        let (sent, missing) = (self.sent, self.sent.saturating_sub(acknowledged));
        let why = format!("the peer is gone and {missing} of {sent} bytes were not delivered");
        let failure = Failure::new(Phase::Send, self.peer, why).with_code(ExitCode::Partial);
        DuplexOutcome::failure(EndedBy::Reset, failure)
    }
}

/// Returns an error with the same number, layer or text.
fn clone_io_error(e: &std::io::Error) -> std::io::Error {
    match (e.raw_os_error(), LayerError::of(e)) {
        (Some(number), _) => std::io::Error::from_raw_os_error(number),
        (None, Some(layer)) => std::io::Error::new(e.kind(), layer.clone()),
        (None, None) => std::io::Error::new(e.kind(), e.to_string()),
    }
}
