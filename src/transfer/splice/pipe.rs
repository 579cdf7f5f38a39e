//! An own pipe, through which bytes are spliced between two ends of which neither is a pipe.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::pipe::{SpliceFlags, fcntl_setpipe_size};

use super::call::{FastPathError, SpliceOutcome, is_refusal, splice};
use crate::net::memory::zeroed_buffer;
use crate::net::stdio::FdStream;
use crate::transfer::TransferError;

/// The largest pipe that an ordinary user may have (pipe(7), `pipe-max-size`), in bytes: twice as
/// fast as 64 KiB.
pub(super) const PIPE_SIZE: usize = 1 << 20;
/// The smallest buffer of a copy, in bytes, where memory is short.
const MIN_BUFFER: usize = 4 << 10;

/// Enlarges the pipe at `fd` as far as that is granted; another descriptor stays as it is.
pub(super) fn enlarge(fd: impl AsFd) {
    let _ = fcntl_setpipe_size(fd, PIPE_SIZE);
}

/// An own pipe between two ends that are none.
#[derive(Debug)]
pub struct SplicePipe {
    reader: PipeReader,
    writer: PipeWriter,
    /// Bytes in the pipe.
    held: usize,
}

impl SplicePipe {
    /// A pipe of `size` bytes, or smaller where that is not granted (pipe(7)); `None` when no pipe
    /// can be created.
    pub fn new(size: usize) -> Option<SplicePipe> {
        let (reader, writer) = io::pipe().ok()?;
        let _ = fcntl_setpipe_size(&writer, size);
        Some(SplicePipe { reader, writer, held: 0 })
    }

    /// Whether the pipe is empty.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Moves at most `max` bytes of `from` into the pipe, which has room. Waits for a blocking TCP
    /// socket only.
    ///
    /// Fails as a read from `from` does.
    pub fn fill(&mut self, from: BorrowedFd<'_>, max: usize) -> io::Result<SpliceOutcome> {
        let moved = splice(from, self.writer.as_fd(), max, SpliceFlags::NONBLOCK);
        let outcome = SpliceOutcome::of(moved)?;
        if let SpliceOutcome::Moved(n) = outcome {
            self.held += n;
        }
        Ok(outcome)
    }

    /// Moves a part of the content to `to`, and returns how many bytes; the pipe is not empty.
    ///
    /// Fails as a write to `to` does: with `WouldBlock` when that is non-blocking and full.
    pub fn drain(&mut self, to: BorrowedFd<'_>) -> io::Result<usize> {
        let n = splice(self.reader.as_fd(), to, self.held, SpliceFlags::empty())?;
        self.held -= n;
        Ok(n)
    }

    /// Moves all of the content to `to`, and reports each part to `delivered`.
    ///
    /// [`FastPathError::LeftToCopy`] if the kernel refuses: the content is copied then.
    pub(super) fn drain_all(
        &mut self,
        to: BorrowedFd<'_>,
        mut delivered: impl FnMut(usize),
    ) -> Result<(), FastPathError> {
        while self.held > 0 {
            match self.drain(to) {
                Ok(n) if n > 0 => delivered(n),
                Err(e) if !is_refusal(&e) => return Err(TransferError::Write(e).into()),
                // A file opened for appending, for example.
                Ok(_) | Err(_) => {
                    self.copy_all(to, delivered)?;
                    return Err(FastPathError::LeftToCopy);
                }
            }
        }
        Ok(())
    }

    fn copy_all(
        &mut self,
        to: BorrowedFd<'_>,
        mut delivered: impl FnMut(usize),
    ) -> Result<(), TransferError> {
        let mut buffer = zeroed_buffer(self.held, MIN_BUFFER);
        while self.held > 0 {
            let n = self.held.min(buffer.len());
            self.reader.read_exact(&mut buffer[..n]).map_err(TransferError::Read)?;
            FdStream(to).write_all(&buffer[..n]).map_err(TransferError::Write)?;
            delivered(n);
            self.held -= n;
        }
        Ok(())
    }
}
