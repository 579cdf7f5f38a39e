//! Part of a flow without a copy: at most so many bytes from a socket to a pipe or a file.
//!
//! For whoever knows how much of what a peer says is plain content and must read the rest: the
//! kernel moves the content, and never a byte beyond it.
#![cfg(target_os = "linux")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};

use super::strategy::{TransferMethod, way};
use super::{TransferError, is_refusal};
use crate::net::stdio::FdStream;

/// The largest pipe an ordinary user may have (pipe(7), pipe-max-size).
const PIPE: usize = 1 << 20;

/// What one attempt moved.
#[derive(Debug)]
pub enum SpliceOutcome {
    /// So many bytes, all delivered.
    Moved(u64),
    /// Nothing: the destination, a pipe, has no room just now.
    WouldBlock,
    /// Nothing: the kernel does not do this for these two, or no more of it. The stream has ended,
    /// or is at a TCP urgent mark: only recv(2) finds out which.
    Unsupported,
}

/// The means to move portions to one destination.
#[derive(Debug)]
pub struct BoundedSplice {
    /// A pipe of our own, where the destination is none.
    between: Option<(io::PipeReader, io::PipeWriter)>,
    /// The destination takes nothing out of a pipe: this is no shortcut.
    refused: bool,
}

impl BoundedSplice {
    /// The means for portions from `from` to `to`; none if one of them needs a copy.
    pub fn between(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Option<BoundedSplice> {
        match way(Some(from), Some(to))? {
            TransferMethod::Splice(..) => {
                let _ = fcntl_setpipe_size(to, PIPE);
                Some(BoundedSplice { between: None, refused: false })
            }
            TransferMethod::Through(..) => {
                let pipe = io::pipe().ok()?;
                let _ = fcntl_setpipe_size(&pipe.1, PIPE);
                Some(BoundedSplice { between: Some(pipe), refused: false })
            }
            TransferMethod::Sendfile(..) => None,
        }
    }

    /// Moves what is there, at most `most` bytes, from a socket that has something to say.
    ///
    /// A destination that is a pipe never blocks this; a file may, as files do.
    pub fn move_some(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        most: u64,
    ) -> Result<SpliceOutcome, TransferError> {
        if self.refused {
            return Ok(SpliceOutcome::Unsupported);
        }
        let most = usize::try_from(most).unwrap_or(PIPE).min(PIPE);
        let into = self.between.as_ref().map_or(to, |(_, inlet)| inlet.as_fd());
        let held = loop {
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            match splice(from, None, into, None, most, flags) {
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
        if let Some((outlet, _)) = &mut self.between {
            self.refused = !empty(outlet, to, held)?;
        }
        Ok(SpliceOutcome::Moved(held as u64))
    }
}

/// Empties `held` bytes of our pipe into the destination; false if the kernel insisted on a copy.
fn empty(
    outlet: &mut io::PipeReader,
    to: BorrowedFd<'_>,
    mut held: usize,
) -> Result<bool, TransferError> {
    while held > 0 {
        match splice(outlet.as_fd(), None, to, None, held, SpliceFlags::MOVE) {
            Ok(0) => return Err(TransferError::Write(io::ErrorKind::WriteZero.into())),
            Ok(n) => held -= n,
            Err(Errno::INTR) => {}
            Err(e) if is_refusal(e) => return copy(outlet, to, held).map(|()| false),
            Err(e) => return Err(TransferError::Write(e.into())),
        }
    }
    Ok(true)
}

fn copy(outlet: &mut io::PipeReader, to: BorrowedFd<'_>, held: usize) -> Result<(), TransferError> {
    use std::io::{Read, Write};
    let mut bytes = vec![0; held];
    outlet.read_exact(&mut bytes).map_err(TransferError::Read)?;
    FdStream(to).write_all(&bytes).map_err(TransferError::Write)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn not_a_byte_more_than_asked_is_moved() {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(b"bodyrest").unwrap();
        drop(far);
        let (mut outlet, inlet) = io::pipe().unwrap();
        let mut portions = BoundedSplice::between(near.as_fd(), inlet.as_fd()).unwrap();
        let moved = portions.move_some(near.as_fd(), inlet.as_fd(), 4).unwrap();
        assert!(matches!(moved, SpliceOutcome::Moved(4)), "{moved:?}");
        let mut body = [0; 4];
        outlet.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"body");
        let mut rest = String::new();
        (&near).read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "rest");
        let moved = portions.move_some(near.as_fd(), inlet.as_fd(), 4).unwrap();
        assert!(matches!(moved, SpliceOutcome::Unsupported), "{moved:?}");
    }

    #[test]
    fn a_file_is_reached_through_a_pipe_of_our_own_even_when_it_only_appends() {
        let place = tempfile::tempdir().unwrap();
        for (name, append) in [("plain", false), ("append", true)] {
            let path = place.path().join(name);
            let file =
                std::fs::OpenOptions::new().create(true).write(true).append(append).open(&path);
            let file = file.unwrap();
            let (near, mut far) = UnixStream::pair().unwrap();
            far.write_all(&[7; 5000]).unwrap();
            let mut portions = BoundedSplice::between(near.as_fd(), file.as_fd()).unwrap();
            let moved = portions.move_some(near.as_fd(), file.as_fd(), 4000).unwrap();
            assert!(matches!(moved, SpliceOutcome::Moved(4000)), "{moved:?}");
            let moved = portions.move_some(near.as_fd(), file.as_fd(), 1000).unwrap();
            assert_eq!(matches!(moved, SpliceOutcome::Unsupported), append, "{moved:?}");
            let written = if append { 4000 } else { 5000 };
            assert_eq!(std::fs::read(&path).unwrap(), vec![7; written]);
        }
    }
}
