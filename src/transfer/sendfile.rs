//! Sends a file to a socket without a copy, by sendfile(2) in parts of a mebibyte.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::{FastPathError, TransferError, is_refusal};
use crate::net::source::bytes_before;
use crate::poll::poll_until;

/// Bytes per call. More gains nothing; less costs calls.
const MAX_PART: u64 = 1 << 20;

/// Sends the file from its position to the offset `end`, or to its end; `on_sent` receives the bytes
/// of each call. A file that ends before
/// `end` is left to the copy, which reports it.
pub(super) fn run(
    file: BorrowedFd<'_>,
    end: Option<u64>,
    socket: BorrowedFd<'_>,
    on_sent: &dyn Fn(usize),
) -> Result<(), FastPathError> {
    loop {
        let left = end.map_or(Ok(MAX_PART), |end| bytes_before(file, end));
        let max = left.map_err(|e| FastPathError::Failed(TransferError::Read(e)))?.min(MAX_PART);
        if max == 0 {
            return Ok(());
        }
        match rustix::fs::sendfile(socket, file, None, max as usize) {
            Ok(0) if end.is_some() => return Err(FastPathError::Unsupported),
            Ok(0) => return Ok(()),
            Ok(n) => on_sent(n),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
                let ready = poll_until(&mut fds, None);
                ready.map_err(|e| FastPathError::Failed(TransferError::Write(e)))?;
            }
            Err(e) if is_refusal(e) => return Err(FastPathError::Unsupported),
            Err(e @ Errno::IO) => return Err(FastPathError::Failed(TransferError::Read(e.into()))),
            Err(e) => return Err(FastPathError::Failed(TransferError::Write(e.into()))),
        }
    }
}
