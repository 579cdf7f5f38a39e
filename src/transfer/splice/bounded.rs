//! Splices a limited number of bytes: content whose length is known, while everything around it must
//! be read.

use std::os::fd::BorrowedFd;

use rustix::pipe::SpliceFlags;

use super::call::{FastPathError, SpliceOutcome, classify_error, splice};
use super::pipe::{PIPE_SIZE, SplicePipe, enlarge};
use crate::transfer::TransferError;
use crate::transfer::strategy::{TransferMethod, faster_method};

/// Moves at most so many bytes from a socket to a pipe or a file.
#[derive(Debug)]
pub struct BoundedSplice {
    /// Where the destination is no pipe.
    pipe: Option<SplicePipe>,
    /// The destination does not support splice(2), so that this is slower than a copy.
    is_refused: bool,
}

impl BoundedSplice {
    /// Prepares to move bytes from the socket `from` to `to`; `None` if this pair needs a copy.
    pub fn between(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Option<BoundedSplice> {
        let pipe = match faster_method(from, to)? {
            TransferMethod::SpliceDirect => {
                enlarge(to);
                None
            }
            TransferMethod::SpliceThrough => Some(SplicePipe::new(PIPE_SIZE)?),
            TransferMethod::Sendfile => return None,
        };
        Some(BoundedSplice { pipe, is_refused: false })
    }

    /// Moves what is there, at most `max` bytes, from a socket that is readable. What is moved is
    /// delivered completely.
    ///
    /// A destination that is a pipe never blocks this; a file may, as files do.
    pub fn move_some(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        max: u64,
    ) -> Result<SpliceOutcome, TransferError> {
        if self.is_refused {
            return Ok(SpliceOutcome::LeftToCopy);
        }
        let max = usize::try_from(max).unwrap_or(PIPE_SIZE).min(PIPE_SIZE);
        let Some(pipe) = &mut self.pipe else {
            let moved = splice(from, to, max, SpliceFlags::NONBLOCK);
            return SpliceOutcome::of(moved).map_err(|e| classify_error(true, e));
        };
        let outcome = pipe.fill(from, max).map_err(TransferError::Read)?;
        match pipe.drain_all(to, |_| {}) {
            Ok(()) => {}
            Err(FastPathError::LeftToCopy) => self.is_refused = true,
            Err(FastPathError::Failed(e)) => return Err(e),
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Read, Write};
    use std::os::fd::AsFd;
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
        assert!(matches!(moved, SpliceOutcome::LeftToCopy), "{moved:?}");
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
            assert_eq!(matches!(moved, SpliceOutcome::LeftToCopy), append, "{moved:?}");
            let written = if append { 4000 } else { 5000 };
            assert_eq!(std::fs::read(&path).unwrap(), vec![7; written]);
        }
    }
}
