//! Splices everything from a socket to a file or the null device, through a pipe of its own.

use std::os::fd::BorrowedFd;

use rustix::event::PollFlags;

use super::call::{FastPathError, SpliceOutcome};
use super::pipe::{PIPE_SIZE, SplicePipe};
use crate::poll::poll_fd;
use crate::transfer::{TransferError, TransferOptions};

/// Moves everything from `from` to `to`.
pub(in crate::transfer) fn run(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    options: &TransferOptions,
) -> Result<(), FastPathError> {
    let mut pipe = SplicePipe::new(PIPE_SIZE).ok_or(FastPathError::LeftToCopy)?;
    while options.wait_readable(Some(from)).map_err(TransferError::Read)? {
        match pipe.fill(from, PIPE_SIZE).map_err(TransferError::Read)? {
            SpliceOutcome::Moved(_) => {
                options.meter.set_in_flight(true);
                let drained = pipe.drain_all(to, |n| options.meter.add(n));
                options.meter.set_in_flight(false);
                drained?;
            }
            SpliceOutcome::WouldBlock => {
                poll_fd(from, PollFlags::IN, None).map_err(TransferError::Read)?;
            }
            SpliceOutcome::LeftToCopy => return Err(FastPathError::LeftToCopy),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{self, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    const SIZE: usize = (3 << 20) + 5;

    fn content() -> Vec<u8> {
        (0..SIZE).map(|at| (at * 31 + at / 251) as u8).collect()
    }

    #[test]
    fn non_blocking_socket_is_written_to_a_file() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let to = File::create(&path).unwrap();
        let options = TransferOptions::default();
        let sender = thread::spawn(move || theirs.write_all(&content()));
        let done = run(ours.as_fd(), to.as_fd(), &options);
        assert!(matches!(done, Err(FastPathError::LeftToCopy)));
        sender.join().unwrap().unwrap();
        assert!(std::fs::read(&path).unwrap() == content());
        assert_eq!(options.meter.total(), SIZE as u64);
    }

    #[test]
    fn silent_socket_is_cancelled() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (handle, cancel) = io::pipe().unwrap();
        let options = TransferOptions { cancel: Some(handle.into()), ..TransferOptions::default() };
        let null = File::options().write(true).open("/dev/null").unwrap();
        drop(cancel);
        assert!(run(ours.as_fd(), null.as_fd(), &options).is_ok());
    }
}
