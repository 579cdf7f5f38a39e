//! Our own standard streams and files as the near end of a conversation.
//!
//! They are [`Reader`]s and [`Writer`]s like any stream, so that a pump cannot tell a pipe from a
//! peer, except by asking the kernel which call suits the two.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::stream::{Reader, Writer};
use crate::stop::poll_until;

/// A local descriptor, read or written without any buffer of ours. A descriptor that somebody
/// else has made non-blocking is waited for.
#[derive(Debug)]
pub struct Local<T>(pub T);

/// Our stdin.
pub type Stdin = Local<rustix::fd::BorrowedFd<'static>>;

impl Local<BorrowedFd<'static>> {
    /// Our stdin.
    pub fn stdin() -> Stdin {
        Local(rustix::stdio::stdin())
    }

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

/// Whoever reads `fd` has gone: a pipe's POLLERR, a socket's or terminal's POLLHUP (poll(2)).
pub fn is_abandoned(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::empty())];
    let asked = poll_until(&mut fds, Some(std::time::Instant::now() + Duration::ZERO));
    asked.is_ok() && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}
