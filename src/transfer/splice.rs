//! Moves bytes between a socket and a pipe without a copy, by splice(2): directly where one end is
//! a pipe, through a pipe of our own where neither is. [`BoundedSplice`] moves a limited number.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};

use super::strategy::{TransferMethod, faster_method};
use super::{FastPathError, Meter, TransferError, TransferOptions, is_refusal};
use crate::net::memory::zeroed_buffer;
use crate::net::stdio::FdStream;
use crate::poll::poll_until;

/// The largest pipe that an ordinary user may have (pipe(7), pipe-max-size), in bytes: twice as
/// fast as 64 KiB.
const PIPE_SIZE: usize = 1 << 20;
/// The pipe of one direction of a relay, in bytes: as fast as larger ones, and small enough that the
/// pipes of hundreds of connections stay within the limit of an ordinary user (pipe(7),
/// `pipe-user-pages-soft`: 64 MiB).
const RELAY_PIPE_SIZE: usize = 256 << 10;
/// The smallest buffer of a copy, in bytes, where memory is short.
const MIN_BUFFER: usize = 4 << 10;

/// What one call moved.
#[derive(Debug)]
pub enum SpliceOutcome {
    /// So many bytes, all delivered.
    Moved(u64),
    /// Nothing: the destination, a pipe, is full.
    WouldBlock,
    /// Nothing: the kernel does not do this for these two, or no more of it. The stream has ended,
    /// or is at a TCP urgent mark: only recv(2) finds out which.
    Unsupported,
}

/// Moves at most so many bytes from a socket to a pipe or a file: content whose length is known,
/// while everything around it must be read.
#[derive(Debug)]
pub struct BoundedSplice {
    /// Where the destination is no pipe.
    pipe: Option<IntermediatePipe>,
    /// The destination does not support splice(2), so that this is slower than a copy.
    is_refused: bool,
}

impl BoundedSplice {
    /// Prepares to move bytes from `from` to `to`; `None` if this pair needs a copy.
    pub fn between(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Option<BoundedSplice> {
        let pipe = match faster_method(Some(from), Some(to))? {
            TransferMethod::Splice(..) => {
                let _ = fcntl_setpipe_size(to, PIPE_SIZE);
                None
            }
            TransferMethod::Through(..) => Some(IntermediatePipe::new()?),
            TransferMethod::Sendfile(..) => return None,
        };
        Some(BoundedSplice { pipe, is_refused: false })
    }

    /// Moves what is there, at most `max` bytes, from a socket that is readable.
    ///
    /// A destination that is a pipe never blocks this; a file may, as files do.
    pub fn move_some(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        max: u64,
    ) -> Result<SpliceOutcome, TransferError> {
        if self.is_refused {
            return Ok(SpliceOutcome::Unsupported);
        }
        let max = usize::try_from(max).unwrap_or(PIPE_SIZE).min(PIPE_SIZE);
        let into = self.pipe.as_ref().map_or(to, |pipe| pipe.writer.as_fd());
        let moved = loop {
            match splice(from, None, into, None, max, SpliceFlags::MOVE | SpliceFlags::NONBLOCK) {
                Ok(0) => return Ok(SpliceOutcome::Unsupported),
                Ok(n) => break n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(SpliceOutcome::WouldBlock),
                Err(e) if is_refusal(e) => return Ok(SpliceOutcome::Unsupported),
                Err(e @ (Errno::PIPE | Errno::NOSPC)) => {
                    return Err(TransferError::Write(e.into()));
                }
                Err(e) => return Err(TransferError::Read(e.into())),
            }
        };
        if let Some(pipe) = &mut self.pipe {
            match pipe.drain(to, moved, |_| {}) {
                Ok(()) => {}
                Err(FastPathError::Unsupported) => self.is_refused = true,
                Err(FastPathError::Failed(e)) => return Err(e),
            }
        }
        Ok(SpliceOutcome::Moved(moved as u64))
    }
}

/// Moves everything between two ends of which one is a pipe.
///
/// A splice of 0 from a socket is not taken for its end: TCP returns it at an urgent mark too
/// (tcp(7)), which only recv(2) passes. The copy continues from there and finds out.
pub(super) fn direct(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    options: &TransferOptions,
) -> Result<(), FastPathError> {
    // Whichever of the two is the pipe; the other refuses, and a small pipe works too.
    let _ = fcntl_setpipe_size(from, PIPE_SIZE);
    let _ = fcntl_setpipe_size(to, PIPE_SIZE);
    // A splice that waits for a socket holds the pipe's lock meanwhile, which blocks the reader of
    // the pipe even if it holds data: splice only what is there.
    let from_socket = rustix::net::sockopt::socket_type(from).is_ok();
    let mut stalled = false;
    while options.wait_readable(Some(from)).map_err(read_failed)? {
        if from_socket {
            let mut fds = [PollFd::from_borrowed_fd(from, PollFlags::IN)];
            poll_until(&mut fds, None).map_err(read_failed)?;
        }
        match splice(from, None, to, None, PIPE_SIZE, SpliceFlags::MOVE) {
            Ok(0) if from_socket => return Err(FastPathError::Unsupported),
            Ok(0) => return Ok(()),
            Ok(n) => {
                options.meter.add(n);
                stalled = false;
            }
            Err(Errno::INTR) => {}
            // Both ends are ready and nothing moves: how a non-blocking socket returns at the mark.
            Err(Errno::AGAIN) if stalled => return Err(FastPathError::Unsupported),
            Err(Errno::AGAIN) => {
                wait_for_both(from, to).map_err(read_failed)?;
                stalled = true;
            }
            Err(e) if is_refusal(e) => return Err(FastPathError::Unsupported),
            Err(e) => return Err(classify_error(from_socket, e)),
        }
    }
    Ok(())
}

/// Waits until both ends are ready: an inherited descriptor can be non-blocking.
fn wait_for_both(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    poll_until(&mut [PollFd::from_borrowed_fd(from, PollFlags::IN)], None)?;
    poll_until(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None)?;
    Ok(())
}

/// Attributes the error of a splice to an end: a socket that is read fails with its own errors,
/// everything else is the destination's.
fn classify_error(reads_socket: bool, e: Errno) -> FastPathError {
    let is_peers = matches!(
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
    if reads_socket && is_peers { read_failed(e.into()) } else { write_failed(e.into()) }
}

/// Moves everything from a socket to a file or a device through a pipe of our own. As in
/// [`direct`], a splice of 0 is not taken for the end.
pub(super) fn via_pipe(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    meter: &Meter,
) -> Result<(), FastPathError> {
    let mut pipe = IntermediatePipe::new().ok_or(FastPathError::Unsupported)?;
    loop {
        match splice(from, None, pipe.writer.as_fd(), None, PIPE_SIZE, SpliceFlags::MOVE) {
            Ok(0) => return Err(FastPathError::Unsupported),
            Ok(n) => pipe.drain(to, n, |n| meter.add(n))?,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::from_borrowed_fd(from, PollFlags::IN)];
                poll_until(&mut fds, None).map_err(read_failed)?;
            }
            Err(e) if is_refusal(e) => return Err(FastPathError::Unsupported),
            Err(e) => return Err(read_failed(e.into())),
        }
    }
}

/// Moves bytes between two non-blocking sockets through a pipe of its own; no call blocks.
#[derive(Debug)]
pub struct SocketSplice {
    pipe: IntermediatePipe,
    held: usize,
}

impl SocketSplice {
    /// `None` when no pipe can be created.
    pub fn new() -> Option<SocketSplice> {
        let pipe = IntermediatePipe::with_size(RELAY_PIPE_SIZE)?;
        Some(SocketSplice { pipe, held: 0 })
    }

    /// Whether the pipe is empty.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Moves what has arrived at `from` into the pipe. As in [`BoundedSplice`], nothing moves at the
    /// end of the stream and at a TCP urgent mark: [`SpliceOutcome::Unsupported`].
    pub fn fill(&mut self, from: BorrowedFd<'_>) -> io::Result<SpliceOutcome> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match splice(from, None, self.pipe.writer.as_fd(), None, RELAY_PIPE_SIZE, flags) {
            Ok(0) => Ok(SpliceOutcome::Unsupported),
            Ok(n) => {
                self.held += n;
                Ok(SpliceOutcome::Moved(n as u64))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(SpliceOutcome::WouldBlock),
            Err(e) if is_refusal(e) => Ok(SpliceOutcome::Unsupported),
            Err(e) => Err(e.into()),
        }
    }

    /// Moves a part of the pipe's content to `to`, and returns how many bytes; the pipe is not empty.
    ///
    /// Fails with `WouldBlock` when `to` is full, and as `send(2)` does.
    pub fn drain(&mut self, to: BorrowedFd<'_>) -> io::Result<usize> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let moved = splice(self.pipe.reader.as_fd(), None, to, None, self.held, flags)?;
        self.held -= moved;
        Ok(moved)
    }
}

/// A pipe of our own between a socket and a destination that is no pipe.
#[derive(Debug)]
struct IntermediatePipe {
    reader: PipeReader,
    writer: PipeWriter,
}

impl IntermediatePipe {
    fn new() -> Option<IntermediatePipe> {
        IntermediatePipe::with_size(PIPE_SIZE)
    }

    /// A pipe of `size` bytes, or smaller where that is not granted (pipe(7)).
    fn with_size(size: usize) -> Option<IntermediatePipe> {
        let (reader, writer) = io::pipe().ok()?;
        let _ = fcntl_setpipe_size(&writer, size);
        Some(IntermediatePipe { reader, writer })
    }

    /// Moves the `held` bytes of the pipe into `to`, and reports each part to `delivered`.
    ///
    /// [`FastPathError::Unsupported`] if the kernel refuses: the bytes are copied then.
    fn drain(
        &mut self,
        to: BorrowedFd<'_>,
        mut held: usize,
        mut delivered: impl FnMut(usize),
    ) -> Result<(), FastPathError> {
        while held > 0 {
            match splice(self.reader.as_fd(), None, to, None, held, SpliceFlags::MOVE) {
                Ok(0) => return Err(write_failed(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    delivered(n);
                    held -= n;
                }
                Err(Errno::INTR) => {}
                // A file opened for appending, for example.
                Err(e) if is_refusal(e) => {
                    self.copy(to, held, delivered)?;
                    return Err(FastPathError::Unsupported);
                }
                Err(e) => return Err(write_failed(e.into())),
            }
        }
        Ok(())
    }

    fn copy(
        &mut self,
        to: BorrowedFd<'_>,
        mut held: usize,
        mut delivered: impl FnMut(usize),
    ) -> Result<(), FastPathError> {
        let mut buffer = zeroed_buffer(held, MIN_BUFFER);
        while held > 0 {
            let n = held.min(buffer.len());
            self.reader.read_exact(&mut buffer[..n]).map_err(read_failed)?;
            FdStream(to).write_all(&buffer[..n]).map_err(write_failed)?;
            delivered(n);
            held -= n;
        }
        Ok(())
    }
}

fn read_failed(e: io::Error) -> FastPathError {
    FastPathError::Failed(TransferError::Read(e))
}

fn write_failed(e: io::Error) -> FastPathError {
    FastPathError::Failed(TransferError::Write(e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn not_a_byte_more_than_asked_is_moved() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"bodyrest").unwrap();
        drop(theirs);
        let (mut outlet, inlet) = io::pipe().unwrap();
        let mut splice = BoundedSplice::between(ours.as_fd(), inlet.as_fd()).unwrap();
        let moved = splice.move_some(ours.as_fd(), inlet.as_fd(), 4).unwrap();
        assert!(matches!(moved, SpliceOutcome::Moved(4)), "{moved:?}");
        let mut body = [0; 4];
        outlet.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"body");
        let mut rest = String::new();
        (&ours).read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "rest");
        let moved = splice.move_some(ours.as_fd(), inlet.as_fd(), 4).unwrap();
        assert!(matches!(moved, SpliceOutcome::Unsupported), "{moved:?}");
    }

    #[test]
    fn a_file_is_reached_through_a_pipe_of_our_own_even_when_it_only_appends() {
        let dir = tempfile::tempdir().unwrap();
        for (name, append) in [("plain", false), ("append", true)] {
            let path = dir.path().join(name);
            let file =
                std::fs::OpenOptions::new().create(true).write(true).append(append).open(&path);
            let file = file.unwrap();
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(&[7; 5000]).unwrap();
            let mut splice = BoundedSplice::between(ours.as_fd(), file.as_fd()).unwrap();
            let moved = splice.move_some(ours.as_fd(), file.as_fd(), 4000).unwrap();
            assert!(matches!(moved, SpliceOutcome::Moved(4000)), "{moved:?}");
            let moved = splice.move_some(ours.as_fd(), file.as_fd(), 1000).unwrap();
            assert_eq!(matches!(moved, SpliceOutcome::Unsupported), append, "{moved:?}");
            let written = if append { 4000 } else { 5000 };
            assert_eq!(std::fs::read(&path).unwrap(), vec![7; written]);
        }
    }
}
