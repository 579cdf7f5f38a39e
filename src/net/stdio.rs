//! Standard streams as [`Reader`]s and [`Writer`]s, so that a transfer treats them as any stream.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::fs::{FileType, Stat, fstat};

use super::stdout::Stdout;
use super::stream::{Reader, Writer};
use crate::poll::poll_fd;

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
                Err(rustix::io::Errno::AGAIN) => drop(poll_fd(&self.0, events, None)?),
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
    fn plain_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

impl<T: AsFd + Send> Writer for FdStream<T> {
    fn half_close(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn plain_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

/// A stream without a peer: reads return the end of the stream.
impl Reader for io::Empty {}

/// Discards received bytes.
impl Writer for io::Sink {
    fn half_close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether `fd` is known, without reading, to be at its end: /dev/null, or an empty pipe without a
/// writer (poll(2), `POLLHUP` alone). Only Linux reports the latter.
pub fn is_at_eof(fd: BorrowedFd<'_>) -> bool {
    let Ok(stat) = fstat(fd) else { return false };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => is_null(&stat),
        FileType::Fifo if cfg!(target_os = "linux") => {
            poll_now(fd, PollFlags::IN) == Some(PollFlags::HUP)
        }
        _ => false,
    }
}

/// Whether `fd` is the null device, which replaces a descriptor that was closed at the start.
pub fn is_null_device(fd: BorrowedFd<'_>) -> bool {
    let is_device = |stat: &Stat| FileType::from_raw_mode(stat.st_mode).is_char_device();
    fstat(fd).is_ok_and(|stat| is_device(&stat) && is_null(&stat))
}

/// Whether a device is /dev/null, which is 1:3 on every Linux (null(4)).
pub fn is_null(stat: &Stat) -> bool {
    if cfg!(target_os = "linux") {
        return stat.st_rdev == rustix::fs::makedev(1, 3);
    }
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
    poll_fd(fd, events, Some(Instant::now())).ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs::File;

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
