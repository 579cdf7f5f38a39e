//! Between a socket and a pipe without a copy: splice(2), straight where one end is a pipe,
//! through a pipe of our own where neither is.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};

use super::{FastPathError, Meter, TransferError, TransferOptions, is_refusal};
use crate::net::memory::zeroed_buffer;
use crate::shutdown::poll_until;

/// The largest pipe an ordinary user may have (pipe(7), pipe-max-size): twice as fast as 64 KiB.
const PIPE: usize = 1 << 20;
/// What is copied at once where memory is short.
const LEAST: usize = 4 << 10;

/// Moves everything between two ends of which one is a pipe.
///
/// A splice of 0 from a socket is not taken for its end: TCP returns it at an urgent mark too
/// (tcp(7)), which only recv(2) passes. The plain copy goes on from there and finds out.
pub(super) fn direct(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    flow: &TransferOptions,
) -> Result<(), FastPathError> {
    // Whichever of the two is the pipe; the other refuses, and a small pipe works too.
    let _ = fcntl_setpipe_size(from, PIPE);
    let _ = fcntl_setpipe_size(to, PIPE);
    // A splice that waits for a socket holds the pipe's lock meanwhile, and whoever reads the pipe
    // waits with it, though it be full of data: so it is called only once there is something.
    let from_socket = rustix::net::sockopt::socket_type(from).is_ok();
    let mut stalled = false;
    while flow.wait_readable(Some(from)).map_err(read_broke)? {
        if from_socket {
            let mut fds = [PollFd::from_borrowed_fd(from, PollFlags::IN)];
            poll_until(&mut fds, None).map_err(read_broke)?;
        }
        match splice(from, None, to, None, PIPE, SpliceFlags::MOVE) {
            Ok(0) if from_socket => return Err(FastPathError::Kernel),
            Ok(0) => return Ok(()),
            Ok(n) => {
                flow.meter.add(n);
                stalled = false;
            }
            Err(Errno::INTR) => {}
            // Both ends are ready and nothing moves: how a non-blocking socket returns at the mark.
            Err(Errno::AGAIN) if stalled => return Err(FastPathError::Kernel),
            Err(Errno::AGAIN) => {
                wait_for_both(from, to).map_err(read_broke)?;
                stalled = true;
            }
            Err(e) if is_refusal(e) => return Err(FastPathError::Kernel),
            Err(e) => return Err(classify_error(from_socket, e)),
        }
    }
    Ok(())
}

/// An inherited descriptor can be non-blocking: wait until both ends have something to do.
fn wait_for_both(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    poll_until(&mut [PollFd::from_borrowed_fd(from, PollFlags::IN)], None)?;
    poll_until(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None)?;
    Ok(())
}

/// Which end a failed splice is about: a socket that is read fails with its own errors, everything
/// else is the destination's.
fn classify_error(reads_socket: bool, e: Errno) -> FastPathError {
    let of_the_peer = matches!(
        e,
        Errno::CONNRESET
            | Errno::TIMEDOUT
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::CONNABORTED
            | Errno::NETDOWN
            | Errno::CONNREFUSED
            | Errno::NOTCONN
    );
    FastPathError::Broken(match reads_socket && of_the_peer {
        true => TransferError::Read(e.into()),
        false => TransferError::Write(e.into()),
    })
}

fn read_broke(e: io::Error) -> FastPathError {
    FastPathError::Broken(TransferError::Read(e))
}

/// Moves everything from a socket to a file or a device through a pipe of our own. As in
/// [`direct`], a splice of 0 is not taken for the end.
pub(super) fn via_pipe(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    meter: &Meter,
) -> Result<(), FastPathError> {
    let Ok((mut outlet, inlet)) = io::pipe() else { return Err(FastPathError::Kernel) };
    let _ = fcntl_setpipe_size(inlet.as_fd(), PIPE);
    loop {
        let held = match splice(from, None, inlet.as_fd(), None, PIPE, SpliceFlags::MOVE) {
            Ok(0) => return Err(FastPathError::Kernel),
            Ok(n) => n,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::from_borrowed_fd(from, PollFlags::IN)];
                poll_until(&mut fds, None).map_err(read_broke)?;
                continue;
            }
            Err(e) if is_refusal(e) => return Err(FastPathError::Kernel),
            Err(e) => return Err(read_broke(e.into())),
        };
        empty(&mut outlet, to, held, meter)?;
    }
}

/// Empties `held` bytes of our pipe into the destination.
fn empty(
    outlet: &mut io::PipeReader,
    to: BorrowedFd<'_>,
    mut held: usize,
    meter: &Meter,
) -> Result<(), FastPathError> {
    while held > 0 {
        match splice(outlet.as_fd(), None, to, None, held, SpliceFlags::MOVE) {
            Ok(0) => return Err(write_broke(io::ErrorKind::WriteZero.into())),
            Ok(n) => {
                meter.add(n);
                held -= n;
            }
            Err(Errno::INTR) => {}
            Err(e) if is_refusal(e) => {
                // A file opened for appending, say: what the pipe holds goes the plain way, and
                // so does everything after it.
                copy_out(outlet, to, held, meter)?;
                return Err(FastPathError::Kernel);
            }
            Err(e) => return Err(write_broke(e.into())),
        }
    }
    Ok(())
}

fn write_broke(e: io::Error) -> FastPathError {
    FastPathError::Broken(TransferError::Write(e))
}

fn copy_out(
    outlet: &mut io::PipeReader,
    to: BorrowedFd<'_>,
    held: usize,
    meter: &Meter,
) -> Result<(), FastPathError> {
    use std::io::{Read, Write};
    let mut bytes = zeroed_buffer(held, LEAST);
    let mut left = held;
    while left > 0 {
        let piece = left.min(bytes.len());
        outlet.read_exact(&mut bytes[..piece]).map_err(read_broke)?;
        crate::net::stdio::FdStream(to).write_all(&bytes[..piece]).map_err(write_broke)?;
        meter.add(piece);
        left -= piece;
    }
    Ok(())
}
