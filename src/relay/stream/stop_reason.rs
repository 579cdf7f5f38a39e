//! Why a read or write ended without a failure of its socket.

use std::fmt;
use std::io;

/// Why a read or write of a relayed connection ended without a failure of its socket. It is the
/// source of an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// No byte has moved in either direction for the idle timeout.
    Idle,
    /// The source was reset while the destination was full.
    SourceReset,
    /// The source was closed by this process: by the other direction, or at shutdown.
    Closed,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopReason::Idle => "no data for the idle timeout",
            StopReason::SourceReset => "the source was reset",
            StopReason::Closed => "closed by this process",
        })
    }
}

impl std::error::Error for StopReason {}

impl From<StopReason> for io::Error {
    fn from(reason: StopReason) -> io::Error {
        io::Error::other(reason)
    }
}

impl StopReason {
    /// The reason inside `error`, if there is one.
    pub fn of(error: &io::Error) -> Option<StopReason> {
        error.get_ref()?.downcast_ref().copied()
    }
}
