//! Why a datagram server ends, and its exit code.

use std::time::Duration;

use crate::error::{ExitCode, Failure, Phase};
use crate::net::address::Address;
use crate::shutdown::ShutdownReason;

/// Why a datagram server stopped receiving.
///
/// | reason | delayed replies | exit code |
/// |---|---|---|
/// | `MaxDatagrams` | sent when they are due | 0, or that of a shutdown meanwhile |
/// | `AcceptTimeout` | sent when they are due | 28 |
/// | `StdoutClosed` | dropped | 0 |
/// | `Shutdown(Interrupt)` | sent immediately, after what the kernel has queued | 130 |
/// | `Shutdown(Terminate)` | as above | 0, or 143 if work was dropped |
/// | `Shutdown(Deadline)` | as above | 28 |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerEnd {
    /// `--max-datagrams` were received.
    MaxDatagrams,
    /// No datagram arrived for this long.
    AcceptTimeout(Duration),
    /// The reader of stdout closed it.
    StdoutClosed,
    /// The run is to end.
    Shutdown(ShutdownReason),
}

/// What happened after the last datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShutdownReport {
    /// Whether a reply or printed bytes were dropped.
    pub work_dropped: bool,
    /// The shutdown that ended the wait for programs.
    pub interrupted_by: Option<ShutdownReason>,
}

impl ServerEnd {
    /// The exit code of a server bound to `local`.
    ///
    /// Fails at [`Phase::Listen`] with 28 at a time limit.
    pub fn exit_code(self, after: ShutdownReport, local: &Address) -> Result<ExitCode, Failure> {
        let reason = match self {
            ServerEnd::Shutdown(reason) => Some(reason),
            ServerEnd::MaxDatagrams => after.interrupted_by,
            ServerEnd::StdoutClosed => None,
            ServerEnd::AcceptTimeout(time) => {
                return Err(Failure::timeout(Phase::Listen, local, time));
            }
        };
        match reason {
            None => Ok(ExitCode::Done),
            Some(ShutdownReason::Interrupt) => Ok(ExitCode::Interrupted),
            Some(ShutdownReason::Terminate) if after.work_dropped => Ok(ExitCode::Terminated),
            Some(ShutdownReason::Terminate) => Ok(ExitCode::Done),
            Some(ShutdownReason::Deadline) => {
                Err(Failure::shutdown(Phase::Listen, local, ShutdownReason::Deadline))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_decides_the_exit_code() {
        use ServerEnd::{AcceptTimeout, MaxDatagrams, Shutdown, StdoutClosed};
        use ShutdownReason::{Deadline, Interrupt, Terminate};
        for (end, work_dropped, interrupted_by, code) in [
            (MaxDatagrams, false, None, 0),
            (MaxDatagrams, true, Some(Interrupt), 130),
            (MaxDatagrams, true, Some(Terminate), 143),
            (AcceptTimeout(Duration::from_secs(1)), false, None, 28),
            (StdoutClosed, true, Some(Interrupt), 0),
            (Shutdown(Interrupt), false, None, 130),
            (Shutdown(Terminate), false, None, 0),
            (Shutdown(Terminate), true, None, 143),
            (Shutdown(Deadline), false, None, 28),
        ] {
            let after = ShutdownReport { work_dropped, interrupted_by };
            let ended = end.exit_code(after, &Address::Unnamed);
            let found = ended.unwrap_or_else(|failure| failure.code);
            assert_eq!(found.number(), code, "{end:?} {after:?}");
        }
    }
}
