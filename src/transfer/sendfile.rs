//! Sends a file to a socket without a copy, by sendfile(2) in parts of a mebibyte.

use std::os::fd::BorrowedFd;

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::TransferError;
use super::splice::{FastPathError, is_refusal};
use crate::net::source::bytes_before;
use crate::poll::poll_fd;

/// Bytes per call. More gains nothing; less costs calls.
const MAX_PART: u64 = 1 << 20;

/// Sends the file from its position to the offset `end`, or to its end; `on_sent` receives the bytes
/// of each call. A file that ends before `end` is left to the copy, which reports it.
pub(super) fn run(
    file: BorrowedFd<'_>,
    end: Option<u64>,
    socket: BorrowedFd<'_>,
    on_sent: &dyn Fn(usize),
) -> Result<(), FastPathError> {
    loop {
        let left = end.map_or(Ok(MAX_PART), |end| bytes_before(file, end));
        let max = left.map_err(TransferError::Read)?.min(MAX_PART);
        if max == 0 {
            return Ok(());
        }
        match rustix::fs::sendfile(socket, file, None, max as usize) {
            Ok(0) if end.is_some() => return Err(FastPathError::LeftToCopy),
            Ok(0) => return Ok(()),
            Ok(n) => on_sent(n),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                poll_fd(socket, PollFlags::OUT, None).map_err(TransferError::Write)?;
            }
            Err(e) if is_refusal(&e.into()) => return Err(FastPathError::LeftToCopy),
            Err(e @ Errno::IO) => return Err(TransferError::Read(e.into()).into()),
            Err(e) => return Err(TransferError::Write(e.into()).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::source::Source;
    use crate::net::stream::Reader;
    use crate::transfer::Meter;
    use std::fs::File;
    use std::io::{Read, Seek, SeekFrom, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::path::Path;
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

    fn send(source: &Source<File>, to: &UnixStream, meter: &Meter) -> Result<(), FastPathError> {
        let (file, end) = (source.plain_fd().unwrap(), source.end_offset());
        run(file, end, to.as_fd(), &|n| meter.add(n))
    }

    #[test]
    fn file_is_sent_from_its_position_to_its_first_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut file = file(&path);
        file.seek(SeekFrom::Start(1000)).unwrap();
        let source = Source::new(file, None);
        File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let meter = Meter::default();
        let received = thread::spawn(|| read_all(theirs));
        assert!(send(&source, &ours, &meter).is_ok());
        drop(ours);
        assert!(received.join().unwrap() == content()[1000..]);
        assert_eq!(meter.total(), SIZE as u64 - 1000);
    }

    #[test]
    fn file_that_shrinks_or_has_no_size_is_left_to_the_copy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let shrinking = Source::new(file(&path), None);
        File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
        let without_size = Source::new(File::open("/proc/self/status").unwrap(), None);
        for source in [shrinking, without_size] {
            let (ours, _theirs) = UnixStream::pair().unwrap();
            let meter = Meter::default();
            assert!(matches!(send(&source, &ours, &meter), Err(FastPathError::LeftToCopy)));
            let position = rustix::fs::tell(source.plain_fd().unwrap()).unwrap();
            assert_eq!(meter.total(), position);
        }
    }

    #[test]
    fn peer_that_closes_fails_the_transfer_and_only_sent_bytes_count() {
        let dir = tempfile::tempdir().unwrap();
        let source = Source::new(file(&dir.path().join("f")), None);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let meter = Meter::default();
        let received = thread::spawn(move || theirs.read_exact(&mut [0; 100_000]).is_ok());
        let done = send(&source, &ours, &meter);
        assert!(matches!(done, Err(FastPathError::Failed(TransferError::Write(_)))));
        assert!(received.join().unwrap());
        let sent = meter.total();
        assert!((100_000..SIZE as u64).contains(&sent), "{sent}");
    }
}
