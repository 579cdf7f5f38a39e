//! Standard output, written completely and without a buffer.

use std::io;
use std::os::fd::BorrowedFd;
#[cfg(test)]
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::{Failure, Phase};
use crate::poll::poll_fd;
use crate::shutdown::{Shutdown, WaitOutcome};

/// Consecutive writes that may fail with EAGAIN although poll(2) reports a writable descriptor.
const MAX_REFUSALS: u32 = 1000;

/// Where a command writes its data: standard output, or what a test puts in its place.
#[derive(Debug, Clone, Copy)]
pub struct Stdout {
    fd: BorrowedFd<'static>,
    file_type: Option<FileType>,
}

impl Stdout {
    /// Standard output.
    pub fn standard() -> Stdout {
        Stdout::new(rustix::stdio::stdout())
    }

    /// A file or a pipe instead, which stays open.
    #[cfg(test)]
    pub fn of(file: impl Into<OwnedFd>) -> Stdout {
        let file: &'static OwnedFd = Box::leak(Box::new(file.into()));
        Stdout::new(file.as_fd())
    }

    fn new(fd: BorrowedFd<'static>) -> Stdout {
        let stat = rustix::fs::fstat(fd).ok();
        Stdout { fd, file_type: stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) }
    }

    /// The descriptor.
    pub fn fd(self) -> BorrowedFd<'static> {
        self.fd
    }

    /// Whether it is a terminal.
    pub fn is_terminal(self) -> bool {
        rustix::termios::isatty(self.fd)
    }

    /// Whether it is a pipe or a FIFO.
    pub fn is_pipe(self) -> bool {
        self.file_type == Some(FileType::Fifo)
    }

    /// Writes all of `bytes`, unbuffered, however long the reader takes.
    ///
    /// Fails at [`Phase::Stdout`] with code 23, also when the reader has closed it (EPIPE), which
    /// only some commands treat as an error.
    pub fn write_all(self, bytes: &[u8]) -> Result<(), Failure> {
        let write = |left: &[u8]| rustix::io::write(self.fd, left);
        // Another process with the same stdout may have made it non-blocking (O_NONBLOCK).
        let wait = || poll_fd(self.fd, PollFlags::OUT, None).map(|_| true);
        self.write_until(bytes, write, wait).map(drop)
    }

    /// Writes a document (a man page, a completion script) as [`Stdout::write_all`]; a reader that
    /// closes early is no error.
    pub fn write_document(self, bytes: &[u8]) -> Result<(), Failure> {
        match self.write_all(bytes) {
            Err(failure) if is_broken_pipe(&failure) => Ok(()),
            done => done,
        }
    }

    /// As [`Stdout::write_all`], but the end of the run ends the wait for a slow reader, which then
    /// fails as [`Failure::shutdown`]; with [`Failure::timeout`] where it takes nothing for
    /// `idle_timeout`.
    pub fn write_all_or_shutdown(
        self,
        bytes: &[u8],
        idle_timeout: Option<Duration>,
        shutdown: &Shutdown,
    ) -> Result<(), Failure> {
        let mut failure = None;
        let write = |left: &[u8]| self.write_available(left);
        self.write_until(bytes, write, || {
            let deadline = idle_timeout.and_then(|idle| Instant::now().checked_add(idle));
            failure = match shutdown.wait(self.fd, PollFlags::OUT, deadline)? {
                WaitOutcome::Ready(_) => None,
                WaitOutcome::Shutdown(reason) => {
                    Some(Failure::shutdown(Phase::Stdout, "-", reason))
                }
                WaitOutcome::TimedOut => {
                    Some(Failure::timeout(Phase::Stdout, "-", idle_timeout.unwrap_or_default()))
                }
            };
            Ok(failure.is_none())
        })?;
        failure.map_or(Ok(()), Err)
    }

    /// As [`Stdout::write_all`] until the run is to end; from then on the reader has `grace`, counted
    /// once for all calls that share `grace`. Returns how many bytes it has not taken.
    pub fn write_with_grace(
        self,
        bytes: &[u8],
        grace: &mut Grace,
        shutdown: &Shutdown,
    ) -> Result<usize, Failure> {
        let write = |left: &[u8]| self.write_available(left);
        let taken = self.write_until(bytes, write, || {
            match shutdown.wait(self.fd, PollFlags::OUT, None)? {
                WaitOutcome::Shutdown(_) => {
                    let ready = poll_fd(self.fd, PollFlags::OUT, Some(grace.deadline()))?;
                    Ok(!ready.is_empty())
                }
                _ => Ok(true),
            }
        })?;
        Ok(bytes.len() - taken)
    }

    /// Calls `write` for what is left; `wait` is called when there is no room, and ends the writing
    /// with false. Returns how many bytes were written.
    fn write_until(
        self,
        bytes: &[u8],
        write: impl Fn(&[u8]) -> Result<usize, Errno>,
        mut wait: impl FnMut() -> io::Result<bool>,
    ) -> Result<usize, Failure> {
        let (mut left, mut refusals) = (bytes, 0);
        while !left.is_empty() {
            match write(left) {
                Ok(0) => return Err(failed(io::ErrorKind::WriteZero.into())),
                Ok(n) => (left, refusals) = (&left[n..], 0),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if refusals < MAX_REFUSALS => match wait() {
                    Ok(true) => refusals += 1,
                    Ok(false) => break,
                    Err(e) => return Err(failed(e)),
                },
                Err(e) => return Err(failed(e.into())),
            }
        }
        Ok(bytes.len() - left.len())
    }

    /// Writes what is taken without blocking: up to a page to a pipe, a socket or a terminal with
    /// room (pipe(7)), everything to a file. Fails with `EAGAIN` without room.
    fn write_available(self, bytes: &[u8]) -> Result<usize, Errno> {
        const PAGE: usize = 4096;
        if self.file_type == Some(FileType::RegularFile) {
            return rustix::io::write(self.fd, bytes);
        }
        let ready = poll_fd(self.fd, PollFlags::OUT, Some(Instant::now()));
        if ready.is_ok_and(|ready| ready.is_empty()) {
            return Err(Errno::AGAIN);
        }
        rustix::io::write(self.fd, &bytes[..bytes.len().min(PAGE)])
    }
}

/// The time that a slow reader has at shutdown, counted from its first use.
#[derive(Debug)]
pub struct Grace {
    time: Duration,
    deadline: Option<Instant>,
}

impl Grace {
    /// A grace of `time`.
    pub fn new(time: Duration) -> Grace {
        Grace { time, deadline: None }
    }

    fn deadline(&mut self) -> Instant {
        *self.deadline.get_or_insert_with(|| Instant::now() + self.time)
    }
}

fn failed(e: io::Error) -> Failure {
    Failure::new(Phase::Stdout, "-", e)
}

/// Whether the failure is that the reader of stdout has closed it.
pub fn is_broken_pipe(failure: &Failure) -> bool {
    failure.phase == Phase::Stdout && failure.errno() == Some(libc::EPIPE)
}
