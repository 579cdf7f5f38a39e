//! Standard streams and files as [`Reader`]s and [`Writer`]s, so that a transfer treats them as any
//! stream.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FileType, Stat, fstat, tell};

use super::stdout::Stdout;
use super::stream::{Reader, Writer};
use crate::shutdown::poll_until;

/// The standard streams of a command: those of the process, or others in a test.
#[derive(Debug, Clone, Copy)]
pub struct StdStreams {
    /// Standard input.
    pub stdin: BorrowedFd<'static>,
    /// Standard output: data.
    pub stdout: Stdout,
    /// Standard error: the prompt.
    pub stderr: BorrowedFd<'static>,
}

impl StdStreams {
    /// Those of the process.
    pub fn of_process() -> StdStreams {
        let (stdin, stderr) = (rustix::stdio::stdin(), rustix::stdio::stderr());
        StdStreams { stdin, stdout: Stdout::standard(), stderr }
    }
}

/// A local descriptor, read or written without a buffer. If another process has made it
/// non-blocking, calls wait nevertheless.
#[derive(Debug)]
pub struct FdStream<T>(pub T);

impl<T: AsFd> FdStream<T> {
    fn retry<R>(
        &self,
        events: PollFlags,
        mut call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<R>,
    ) -> io::Result<R> {
        loop {
            match call(self.0.as_fd()) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let fd = self.0.as_fd();
                    poll_until(&mut [PollFd::from_borrowed_fd(fd, events)], None)?;
                }
                done => return Ok(done?),
            }
        }
    }
}

impl<T: AsFd> Read for FdStream<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.retry(PollFlags::IN, |fd| rustix::io::read(fd, &mut *buffer))
    }
}

impl<T: AsFd> Write for FdStream<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry(PollFlags::OUT, |fd| rustix::io::write(fd, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: AsFd + Send> Reader for FdStream<T> {
    fn raw(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

impl<T: AsFd + Send> Writer for FdStream<T> {
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn raw(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

/// A file, a pipe or a terminal as the source of a transfer, from its current position.
///
/// A regular file is read to the size that it has when the transfer begins: no more when it grows,
/// and an error when it shrinks.
#[derive(Debug)]
pub struct Source<T> {
    file: FdStream<T>,
    extent: Extent,
}

/// How much of a source is read.
#[derive(Debug)]
enum Extent {
    /// All of it.
    Unlimited,
    /// At most this many bytes.
    Count(u64),
    /// The bytes before this offset.
    End(u64),
}

impl<T: AsFd> Source<T> {
    /// `file` from its current position, at most `count` bytes of it.
    pub fn new(file: T, count: Option<u64>) -> Source<T> {
        let extent = match (end_offset(file.as_fd(), count), count) {
            (Some(end), _) => Extent::End(end),
            (None, Some(count)) => Extent::Count(count),
            (None, None) => Extent::Unlimited,
        };
        Source { file: FdStream(file), extent }
    }

    /// Reads what is left before `end`.
    fn read_before(&mut self, end: u64, buffer: &mut [u8]) -> io::Result<usize> {
        // Twice: a file that is being rewritten may be empty for a moment.
        for _ in 0..2 {
            let left = bytes_before(self.file.0.as_fd(), end)?;
            let max = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let n = self.file.read(&mut buffer[..max])?;
            if n > 0 || max == 0 {
                return Ok(n);
            }
            check_length(self.file.0.as_fd(), end)?;
        }
        // A file of sysfs has fewer bytes than its size (sysfs(5)).
        Ok(0)
    }
}

/// The offset at which a regular file ends, or `count` bytes of it; `None` for anything else, and
/// where a size of 0 has no meaning (proc(5)).
fn end_offset(file: BorrowedFd<'_>, count: Option<u64>) -> Option<u64> {
    let stat = fstat(file).ok()?;
    let size = u64::try_from(stat.st_size).ok().filter(|size| *size > 0)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let position = tell(file).ok()?;
    Some(count.map_or(size, |count| size.min(position.saturating_add(count))))
}

/// Bytes from the position of `file` to the offset `end`.
pub fn bytes_before(file: BorrowedFd<'_>, end: u64) -> io::Result<u64> {
    Ok(end.saturating_sub(tell(file)?))
}

/// Fails when `file` is shorter than `end`.
fn check_length(file: BorrowedFd<'_>, end: u64) -> io::Result<()> {
    let size = u64::try_from(fstat(file)?.st_size).unwrap_or(0);
    if size >= end {
        return Ok(());
    }
    let missing = bytes_before(file, end)?;
    Err(io::Error::other(format!("the file became shorter: {missing} bytes could not be sent")))
}

impl<T: AsFd> Read for Source<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.extent {
            Extent::Unlimited => self.file.read(buffer),
            Extent::Count(left) => {
                let max = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                let n = self.file.read(&mut buffer[..max])?;
                *left -= n as u64;
                Ok(n)
            }
            Extent::End(end) => {
                let end = *end;
                self.read_before(end, buffer)
            }
        }
    }
}

impl<T: AsFd + Send> Reader for Source<T> {
    fn raw(&self) -> Option<BorrowedFd<'_>> {
        match self.extent {
            Extent::Count(_) => None,
            _ => Some(self.file.0.as_fd()),
        }
    }

    fn end_offset(&self) -> Option<u64> {
        match self.extent {
            Extent::End(end) => Some(end),
            _ => None,
        }
    }
}

/// A stream without a peer: reads return the end of the stream, writes fail.
#[derive(Debug)]
pub struct NullStream;

impl Read for NullStream {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

impl Reader for NullStream {}

impl Write for NullStream {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Writer for NullStream {
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Discards received bytes.
impl Writer for io::Sink {
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether `fd` is known, without reading, to be at its end: /dev/null, or an empty pipe without a
/// writer (poll(2), `POLLHUP` alone).
#[cfg(target_os = "linux")]
pub fn is_at_eof(fd: BorrowedFd<'_>) -> bool {
    let Ok(stat) = fstat(fd) else { return false };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => is_null(&stat),
        FileType::Fifo => poll_now(fd, PollFlags::IN) == Some(PollFlags::HUP),
        _ => false,
    }
}

/// Not known on this system.
#[cfg(not(target_os = "linux"))]
pub fn is_at_eof(_: BorrowedFd<'_>) -> bool {
    false
}

/// Whether `fd` is the null device, which replaces a descriptor that was closed at the start.
pub fn is_null_device(fd: BorrowedFd<'_>) -> bool {
    let is_device = |stat: &Stat| FileType::from_raw_mode(stat.st_mode).is_char_device();
    fstat(fd).is_ok_and(|stat| is_device(&stat) && is_null(&stat))
}

/// Device 1:3 is /dev/null on every Linux (null(4)).
#[cfg(target_os = "linux")]
pub fn is_null(stat: &Stat) -> bool {
    stat.st_rdev == rustix::fs::makedev(1, 3)
}

/// Whether a device is /dev/null.
#[cfg(not(target_os = "linux"))]
pub fn is_null(stat: &Stat) -> bool {
    rustix::fs::stat("/dev/null").is_ok_and(|null| null.st_rdev == stat.st_rdev)
}

/// Whether the reader of `fd` has closed it: POLLERR of a pipe, POLLHUP of a socket or terminal
/// (poll(2)).
pub fn reader_closed(fd: BorrowedFd<'_>) -> bool {
    poll_now(fd, PollFlags::empty())
        .is_some_and(|events| events.intersects(PollFlags::ERR | PollFlags::HUP))
}

/// Calls poll(2) on `fd` without waiting.
fn poll_now(fd: BorrowedFd<'_>, events: PollFlags) -> Option<PollFlags> {
    let mut fds = [PollFd::from_borrowed_fd(fd, events)];
    poll_until(&mut fds, Some(std::time::Instant::now() + Duration::ZERO)).ok()?;
    Some(fds[0].revents())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs::{File, write};

    #[test]
    fn growing_source_ends_at_its_first_size() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("f");
        for (count, expected) in [(None, "1234"), (Some(3), "123"), (Some(9), "1234")] {
            write(&path, "1234").unwrap();
            let mut source = Source::new(File::open(&path).unwrap(), count);
            write(&path, "123456789").unwrap();
            let mut text = String::new();
            source.read_to_string(&mut text).unwrap();
            assert_eq!(text, expected, "{count:?}");
        }
    }

    #[test]
    fn truncated_source_fails_unless_it_was_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("f");
        for (before, shrinks_by, fails) in [(1, 1, true), (4, 4, false), (0, 4, true)] {
            write(&path, "1234").unwrap();
            let mut source = Source::new(File::open(&path).unwrap(), None);
            source.read_exact(&mut vec![0; before]).unwrap();
            File::options().write(true).open(&path).unwrap().set_len(4 - shrinks_by).unwrap();
            let rest = source.read_to_end(&mut Vec::new());
            assert_eq!(rest.is_err(), fails, "{before} {shrinks_by}");
        }
    }

    #[test]
    fn source_without_size_is_read_to_its_end() {
        for path in ["/proc/self/status", "/sys/kernel/uevent_seqnum"] {
            let Ok(file) = File::open(path) else { continue };
            let mut text = String::new();
            Source::new(file, None).read_to_string(&mut text).unwrap();
            assert!(text.ends_with('\n'), "{path}");
        }
    }

    #[test]
    fn end_is_known_without_reading() {
        let null = File::open("/dev/null").unwrap();
        assert!(is_at_eof(null.as_fd()) && is_null_device(null.as_fd()));
        let zero = File::open("/dev/zero").unwrap();
        assert!(!is_at_eof(zero.as_fd()) && !is_null_device(zero.as_fd()));

        let (mut reader, mut writer) = io::pipe().unwrap();
        assert!(!is_null_device(reader.as_fd()));
        assert!(!is_at_eof(reader.as_fd()), "a writer is open");
        writer.write_all(b"x").unwrap();
        drop(writer);
        assert!(!is_at_eof(reader.as_fd()), "a byte is left");
        reader.read_exact(&mut [0]).unwrap();
        assert!(is_at_eof(reader.as_fd()));
    }
}
