//! From a file to a socket without a copy: sendfile(2), in pieces of a mebibyte.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::{Break, Meter, Refused, is_refusal};
use crate::stop::poll_until;

/// Larger pieces gain nothing; smaller ones cost calls.
const PIECE: usize = 1 << 20;

/// Sends the file from where it stands to its end.
pub(super) fn run(
    file: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
    meter: &Meter,
) -> Result<(), Refused> {
    loop {
        match rustix::fs::sendfile(socket, file, None, PIECE) {
            Ok(0) => return Ok(()),
            Ok(n) => meter.add(n),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
                let ready = poll_until(&mut fds, None);
                ready.map_err(|e| Refused::Broken(Break::Write(e)))?;
            }
            Err(e) if is_refusal(e) => return Err(Refused::Kernel),
            Err(e @ Errno::IO) => return Err(Refused::Broken(Break::Read(e.into()))),
            Err(e) => return Err(Refused::Broken(Break::Write(e.into()))),
        }
    }
}
