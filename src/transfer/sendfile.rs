//! From a file to a socket without a copy: sendfile(2), in pieces of a mebibyte.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::{FastPathError, Meter, TransferError, is_refusal};
use crate::net::stdio::bytes_before;
use crate::shutdown::poll_until;

/// Larger pieces gain nothing; smaller ones cost calls.
const PIECE: u64 = 1 << 20;

/// Sends the file from its position to its end, which is an offset fixed before or wherever it
/// is met. A file that ends too early is left to the plain copy, which says so.
pub(super) fn run(
    (file, end): (BorrowedFd<'_>, Option<u64>),
    socket: BorrowedFd<'_>,
    meter: &Meter,
) -> Result<(), FastPathError> {
    loop {
        let left = end.map_or(Ok(PIECE), |end| bytes_before(file, end));
        let most = left.map_err(|e| FastPathError::Broken(TransferError::Read(e)))?.min(PIECE);
        if most == 0 {
            return Ok(());
        }
        match rustix::fs::sendfile(socket, file, None, most as usize) {
            Ok(0) if end.is_some() => return Err(FastPathError::Kernel),
            Ok(0) => return Ok(()),
            Ok(n) => meter.add(n),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
                let ready = poll_until(&mut fds, None);
                ready.map_err(|e| FastPathError::Broken(TransferError::Write(e)))?;
            }
            Err(e) if is_refusal(e) => return Err(FastPathError::Kernel),
            Err(e @ Errno::IO) => return Err(FastPathError::Broken(TransferError::Read(e.into()))),
            Err(e) => return Err(FastPathError::Broken(TransferError::Write(e.into()))),
        }
    }
}
