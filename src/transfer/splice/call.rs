//! One call of splice(2), and what its result means for every user of it.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{self, SpliceFlags};

use crate::transfer::TransferError;

/// What one call moved.
#[derive(Debug)]
pub enum SpliceOutcome {
    /// So many bytes.
    Moved(usize),
    /// Nothing yet: one of the two is not ready.
    WouldBlock,
    /// Nothing: the kernel does not do this for these two, or no more of it. The stream has ended,
    /// or is at a TCP urgent mark: only recv(2) finds out which.
    LeftToCopy,
}

impl SpliceOutcome {
    /// The meaning of the result of [`splice`]; errors are those of one of the two ends.
    pub(super) fn of(result: io::Result<usize>) -> io::Result<SpliceOutcome> {
        match result {
            Ok(0) => Ok(SpliceOutcome::LeftToCopy),
            Ok(n) => Ok(SpliceOutcome::Moved(n)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(SpliceOutcome::WouldBlock),
            Err(e) if is_refusal(&e) => Ok(SpliceOutcome::LeftToCopy),
            Err(e) => Err(e),
        }
    }
}

/// Why the kernel moves no more.
pub(in crate::transfer) enum FastPathError {
    /// It does not do this for these two, or no more of it; everything it took has been delivered.
    LeftToCopy,
    /// One end failed.
    Failed(TransferError),
}

impl From<TransferError> for FastPathError {
    fn from(e: TransferError) -> FastPathError {
        FastPathError::Failed(e)
    }
}

/// Moves at most `max` bytes; a call that a signal interrupts is repeated.
pub(super) fn splice(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    max: usize,
    flags: SpliceFlags,
) -> io::Result<usize> {
    Ok(retry_on_intr(|| pipe::splice(from, None, to, None, max, flags))?)
}

/// Whether the kernel does not support the call for these two ends (splice(2), sendfile(2)), or does
/// not report which of them failed: a copy finds out.
pub fn is_refusal(error: &io::Error) -> bool {
    use Errno as E;
    matches!(
        Errno::from_io_error(error),
        Some(E::INVAL | E::NOSYS | E::PERM | E::OPNOTSUPP | E::BADF | E::NOMEM)
    )
}

/// Attributes the error of a splice between a socket and a pipe to an end: a socket that is read
/// fails with its own errors, everything else is the destination's.
pub(super) fn classify_error(reads_socket: bool, e: io::Error) -> TransferError {
    use io::ErrorKind as E;
    let is_peers = matches!(
        e.kind(),
        E::ConnectionReset
            | E::TimedOut
            | E::HostUnreachable
            | E::NetworkUnreachable
            | E::ConnectionAborted
            | E::NetworkDown
            | E::ConnectionRefused
            | E::NotConnected
    );
    if reads_socket && is_peers { TransferError::Read(e) } else { TransferError::Write(e) }
}
