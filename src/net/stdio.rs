//! Our own standard streams and files as the near end of a conversation.
//!
//! They are [`Reader`]s and [`Writer`]s like any stream, so that a pump cannot tell a pipe from a
//! peer, except by asking the kernel which call suits the two.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FileType, Stat, fstat};

use super::stream::{Reader, Writer};
use crate::stop::poll_until;

/// A local descriptor, read or written without any buffer of ours. A descriptor that somebody
/// else has made non-blocking is waited for.
#[derive(Debug)]
pub struct Local<T>(pub T);

impl Local<BorrowedFd<'static>> {
    /// Our stdout.
    pub fn stdout() -> Local<BorrowedFd<'static>> {
        Local(rustix::stdio::stdout())
    }
}

impl<T: AsFd> Local<T> {
    fn retry<R>(
        &self,
        way: PollFlags,
        call: impl Fn(BorrowedFd<'_>) -> rustix::io::Result<R>,
    ) -> io::Result<R> {
        loop {
            match call(self.0.as_fd()) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let fd = self.0.as_fd();
                    poll_until(&mut [PollFd::from_borrowed_fd(fd, way)], None)?;
                }
                done => return Ok(done?),
            }
        }
    }
}

impl<T: AsFd> Read for Local<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(self.0.as_fd(), &mut *buffer) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let fd = self.0.as_fd();
                    poll_until(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], None)?;
                }
                done => return Ok(done?),
            }
        }
    }
}

impl<T: AsFd> Write for Local<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry(PollFlags::OUT, |fd| rustix::io::write(fd, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: AsFd + Send> Reader for Local<T> {
    fn raw(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

impl<T: AsFd + Send> Writer for Local<T> {
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn raw(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

/// At most `left` bytes of a file, from where it stands.
#[derive(Debug)]
pub struct Part {
    file: File,
    left: u64,
}

impl Part {
    /// The next `count` bytes of `file`.
    pub fn new(file: File, count: u64) -> Part {
        Part { file, left: count }
    }
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.file.read(&mut buffer[..most])?;
        self.left -= n as u64;
        Ok(n)
    }
}

impl Reader for Part {}

/// An end that is not there: nothing to read, and nobody who takes anything.
#[derive(Debug)]
pub struct Nothing;

impl Read for Nothing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

impl Reader for Nothing {}

impl Write for Nothing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Writer for Nothing {
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether `fd` is known, without reading, to have nothing more: /dev/null, or a pipe that is empty
/// and that nobody writes to any more (poll(2), `POLLHUP` alone).
#[cfg(target_os = "linux")]
pub fn is_spent(fd: BorrowedFd<'_>) -> bool {
    let Ok(stat) = fstat(fd) else { return false };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => is_null(&stat),
        FileType::Fifo => asked_now(fd, PollFlags::IN) == Some(PollFlags::HUP),
        _ => false,
    }
}

/// Whether `fd` is known, without reading, to have nothing more: here nothing is known.
#[cfg(not(target_os = "linux"))]
pub fn is_spent(_: BorrowedFd<'_>) -> bool {
    false
}

/// Whether `fd` is the null device, as a descriptor is that was closed when the process started.
pub fn is_null_device(fd: BorrowedFd<'_>) -> bool {
    let is_device = |stat: &Stat| FileType::from_raw_mode(stat.st_mode).is_char_device();
    fstat(fd).is_ok_and(|stat| is_device(&stat) && is_null(&stat))
}

/// Device 1:3 is /dev/null on every Linux (null(4)).
#[cfg(target_os = "linux")]
pub fn is_null(stat: &Stat) -> bool {
    stat.st_rdev == rustix::fs::makedev(1, 3)
}

/// Whether a device is the one that /dev/null is.
#[cfg(not(target_os = "linux"))]
pub fn is_null(stat: &Stat) -> bool {
    rustix::fs::stat("/dev/null").is_ok_and(|null| null.st_rdev == stat.st_rdev)
}

/// Whoever reads `fd` has gone: a pipe's POLLERR, a socket's or terminal's POLLHUP (poll(2)).
pub fn is_abandoned(fd: BorrowedFd<'_>) -> bool {
    asked_now(fd, PollFlags::empty())
        .is_some_and(|said| said.intersects(PollFlags::ERR | PollFlags::HUP))
}

/// What poll(2) says of `fd` without waiting.
fn asked_now(fd: BorrowedFd<'_>, what: PollFlags) -> Option<PollFlags> {
    let mut fds = [PollFd::from_borrowed_fd(fd, what)];
    poll_until(&mut fds, Some(std::time::Instant::now() + Duration::ZERO)).ok()?;
    Some(fds[0].revents())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_more_is_known_without_reading() {
        let null = File::open("/dev/null").unwrap();
        assert!(is_spent(null.as_fd()) && is_null_device(null.as_fd()));
        let zero = File::open("/dev/zero").unwrap();
        assert!(!is_spent(zero.as_fd()) && !is_null_device(zero.as_fd()));

        let (mut reader, mut writer) = io::pipe().unwrap();
        assert!(!is_null_device(reader.as_fd()));
        assert!(!is_spent(reader.as_fd()), "somebody may write");
        writer.write_all(b"x").unwrap();
        drop(writer);
        assert!(!is_spent(reader.as_fd()), "a byte is left");
        reader.read_exact(&mut [0]).unwrap();
        assert!(is_spent(reader.as_fd()));
    }
}
