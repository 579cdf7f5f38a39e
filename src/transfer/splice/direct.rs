//! Splices everything from a pipe to a socket, or from a socket to a pipe.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::PollFlags;
use rustix::net::sockopt::socket_type;
use rustix::pipe::SpliceFlags;

use super::call::{FastPathError, SpliceOutcome, classify_error, splice};
use super::pipe::{PIPE_SIZE, enlarge};
use crate::poll::poll_fd;
use crate::transfer::{TransferError, TransferOptions};

/// Moves everything between two ends of which one is a pipe.
pub(in crate::transfer) fn run(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    options: &TransferOptions,
) -> Result<(), FastPathError> {
    enlarge(from);
    enlarge(to);
    let from_socket = socket_type(from).is_ok();
    let mut stalled = false;
    while options.wait_readable(Some(from)).map_err(TransferError::Read)? {
        // A splice that waits for a socket holds the pipe's lock meanwhile, which blocks the reader
        // of the pipe even if it holds data: splice only what is there.
        if from_socket {
            poll_fd(from, PollFlags::IN, None).map_err(TransferError::Read)?;
        }
        let moved = splice(from, to, PIPE_SIZE, SpliceFlags::empty());
        match SpliceOutcome::of(moved).map_err(|e| classify_error(from_socket, e))? {
            SpliceOutcome::Moved(n) => {
                options.meter.add(n);
                stalled = false;
            }
            // Both ends are ready and nothing moves: how a non-blocking socket returns at the mark.
            SpliceOutcome::WouldBlock if stalled => return Err(FastPathError::LeftToCopy),
            SpliceOutcome::WouldBlock => {
                wait_for_both(from, to).map_err(TransferError::Read)?;
                stalled = true;
            }
            SpliceOutcome::LeftToCopy => return Err(FastPathError::LeftToCopy),
        }
    }
    Ok(())
}

/// Waits until both ends are ready: an inherited descriptor can be non-blocking.
fn wait_for_both(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    poll_fd(from, PollFlags::IN, None)?;
    poll_fd(to, PollFlags::OUT, None)?;
    Ok(())
}
