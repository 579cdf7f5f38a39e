//! Splices everything from a file to a socket, or from a socket to a file or the null device,
//! through an own pipe: sendfile(2) does this through a pipe of 64 KiB, and is slower.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::PollFlags;
use rustix::fs::tell;

use super::call::{FastPathError, SpliceOutcome};
use super::pipe::{PIPE_SIZE, SplicePipe};
use crate::net::source::bytes_before;
use crate::net::stream::{Reader, Writer};
use crate::shutdown::poll_fd;
use crate::transfer::{TransferError, TransferOptions};

/// Moves everything from `from`, a file up to its end offset, to `to`; both have a descriptor. What
/// the kernel sends of a file is reported to `to`.
///
/// A file that ends before its end offset is left to the copy, which reports it.
pub(in crate::transfer) fn run(
    from: &dyn Reader,
    to: &dyn Writer,
    options: &TransferOptions,
) -> Result<(), FastPathError> {
    let (Some(source), Some(destination)) = (from.raw(), to.raw()) else {
        return Err(FastPathError::Unsupported);
    };
    let mut pipe = SplicePipe::new(PIPE_SIZE).ok_or(FastPathError::Unsupported)?;
    // The offset of the next byte that is delivered; a socket has none.
    let mut offset = tell(source).ok();
    let mut delivered = |n| {
        options.meter.add(n);
        if let Some(offset) = &mut offset {
            to.on_file_sent(*offset, n);
            *offset += n as u64;
        }
    };
    while options.wait_readable(Some(source)).map_err(TransferError::Read)? {
        let max = next_len(from, source).map_err(TransferError::Read)?;
        if max == 0 {
            return Ok(());
        }
        match pipe.fill(source, max).map_err(TransferError::Read)? {
            SpliceOutcome::Moved(_) => {
                options.meter.set_in_flight(true);
                let drained = pipe.drain_all(destination, &mut delivered);
                options.meter.set_in_flight(false);
                drained?;
            }
            SpliceOutcome::WouldBlock => {
                poll_fd(source, PollFlags::IN, None).map_err(TransferError::Read)?;
            }
            SpliceOutcome::Unsupported => return Err(FastPathError::Unsupported),
        }
    }
    Ok(())
}

/// How many bytes the next call may move; 0 at the end offset.
fn next_len(from: &dyn Reader, source: BorrowedFd<'_>) -> io::Result<usize> {
    let left = from.end_offset().map_or(Ok(u64::MAX), |end| bytes_before(source, end))?;
    Ok(usize::try_from(left).unwrap_or(PIPE_SIZE).min(PIPE_SIZE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::source::Source;
    use crate::net::stdio::FdStream;
    use std::fs::File;
    use std::io::{Read, Seek, SeekFrom, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::sync::Mutex;
    use std::thread;

    const SIZE: usize = (3 << 20) + 5;

    fn content() -> Vec<u8> {
        (0..SIZE).map(|at| (at * 31 + at / 251) as u8).collect()
    }

    fn file(path: &Path) -> File {
        std::fs::write(path, content()).unwrap();
        File::open(path).unwrap()
    }

    fn read_all(mut from: impl Read) -> Vec<u8> {
        let mut all = Vec::new();
        from.read_to_end(&mut all).unwrap();
        all
    }

    /// A socket that keeps what is reported of a file.
    struct Observed(UnixStream, Mutex<Vec<(u64, usize)>>);

    impl Write for Observed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Writer for Observed {
        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn raw(&self) -> Option<BorrowedFd<'_>> {
            Some(self.0.as_fd())
        }

        fn on_file_sent(&self, offset: u64, bytes: usize) {
            self.1.lock().unwrap().push((offset, bytes));
        }
    }

    /// A socket to send to, and its peer.
    fn pair() -> (Observed, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Observed(ours, Mutex::default()), theirs)
    }

    #[test]
    fn file_is_sent_from_its_position_to_its_first_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut file = file(&path);
        file.seek(SeekFrom::Start(1000)).unwrap();
        let source = Source::new(file, None);
        File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        let (to, theirs) = pair();
        let options = TransferOptions::default();
        let received = thread::spawn(|| read_all(theirs));
        assert!(run(&source, &to, &options).is_ok());
        let parts = to.1.lock().unwrap().clone();
        drop(to);
        assert!(received.join().unwrap() == content()[1000..]);
        let end = parts.iter().fold(1000, |expected, (offset, bytes)| {
            assert_eq!(*offset, expected);
            offset + *bytes as u64
        });
        assert_eq!((end, options.meter.total()), (SIZE as u64, SIZE as u64 - 1000));
    }

    #[test]
    fn file_that_shrinks_or_has_no_size_is_left_to_the_copy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let shrinking = Source::new(file(&path), None);
        File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
        let without_size = Source::new(File::open("/proc/self/status").unwrap(), None);
        for source in [shrinking, without_size] {
            let (to, _theirs) = pair();
            let options = TransferOptions::default();
            let done = run(&source, &to, &options);
            assert!(matches!(done, Err(FastPathError::Unsupported)));
            let position = tell(source.raw().unwrap()).unwrap();
            assert_eq!(options.meter.total(), position);
        }
    }

    /// Otherwise a session could take a file that is read to its end for one that is sent.
    #[test]
    fn bytes_in_the_pipe_are_in_flight() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, vec![1; PIPE_SIZE]).unwrap();
        let source = Source::new(File::open(&path).unwrap(), None);
        let (to, mut theirs) = pair();
        let options = TransferOptions::default();
        let meter = options.meter.clone();
        let received = thread::spawn(move || {
            theirs.read_exact(&mut [0]).unwrap();
            (meter.has_in_flight(), read_all(theirs).len())
        });
        assert!(run(&source, &to, &options).is_ok());
        assert!(!options.meter.has_in_flight());
        drop(to);
        assert_eq!(received.join().unwrap(), (true, PIPE_SIZE - 1));
    }

    #[test]
    fn peer_that_closes_fails_the_transfer_and_only_sent_bytes_count() {
        let dir = tempfile::tempdir().unwrap();
        let source = Source::new(file(&dir.path().join("f")), None);
        let (to, mut theirs) = pair();
        let options = TransferOptions::default();
        let received = thread::spawn(move || theirs.read_exact(&mut [0; 100_000]).is_ok());
        let done = run(&source, &to, &options);
        assert!(matches!(done, Err(FastPathError::Failed(TransferError::Write(_)))));
        assert!(received.join().unwrap());
        let sent = options.meter.total();
        assert!((100_000..SIZE as u64).contains(&sent), "{sent}");
    }

    #[test]
    fn non_blocking_socket_is_written_to_a_file() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let to = FdStream(File::create(&path).unwrap());
        let options = TransferOptions::default();
        let sender = thread::spawn(move || theirs.write_all(&content()));
        assert!(matches!(run(&FdStream(ours), &to, &options), Err(FastPathError::Unsupported)));
        sender.join().unwrap().unwrap();
        assert!(std::fs::read(&path).unwrap() == content());
        assert_eq!(options.meter.total(), SIZE as u64);
    }

    #[test]
    fn silent_socket_is_cancelled() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (handle, cancel) = io::pipe().unwrap();
        let options = TransferOptions { cancel: Some(handle.into()), ..TransferOptions::default() };
        let null = FdStream(File::options().write(true).open("/dev/null").unwrap());
        drop(cancel);
        assert!(run(&FdStream(ours), &null, &options).is_ok());
    }
}
