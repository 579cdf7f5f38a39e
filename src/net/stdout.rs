//! Standard output, written completely and without a buffer.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::{Failure, Phase};
use crate::shutdown::{Shutdown, WaitOutcome, poll_until};

/// Consecutive writes that may fail with EAGAIN although poll(2) reports a writable descriptor.
const MAX_REFUSALS: u32 = 1000;

/// Writes all of `bytes` to stdout, unbuffered, however long its reader takes.
///
/// Fails at [`Phase::Stdout`] with code 23, also when the reader has closed it (EPIPE), which only
/// some commands treat as an error.
pub fn write_all(mut bytes: &[u8]) -> Result<(), Failure> {
    let stdout = rustix::stdio::stdout();
    let mut refusals = 0;
    while !bytes.is_empty() {
        match rustix::io::write(stdout, bytes) {
            Ok(0) => return Err(failed(io::ErrorKind::WriteZero.into())),
            Ok(n) => (bytes, refusals) = (&bytes[n..], 0),
            Err(Errno::INTR) => {}
            // Another process with the same stdout may have made it non-blocking (O_NONBLOCK).
            Err(Errno::AGAIN) if refusals < MAX_REFUSALS => {
                refusals += 1;
                is_writable(None).map_err(failed)?;
            }
            Err(e) => return Err(failed(e.into())),
        }
    }
    Ok(())
}

/// As [`write_all`], but the end of the run ends the wait for a slow reader, which then fails as
/// [`Failure::shutdown`].
pub fn write_all_or_shutdown(bytes: &[u8], shutdown: &Shutdown) -> Result<(), Failure> {
    write_all_within(bytes, None, shutdown)
}

/// As [`write_all_or_shutdown`], but fails as [`Failure::timeout`] when the reader takes nothing for
/// `idle_timeout`.
pub fn write_all_within(
    bytes: &[u8],
    idle_timeout: Option<Duration>,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    let stdout = rustix::stdio::stdout();
    let mut failure = None;
    write_until(bytes, || {
        let deadline = idle_timeout.and_then(|idle| Instant::now().checked_add(idle));
        failure = match shutdown.wait(stdout, PollFlags::OUT, deadline)? {
            WaitOutcome::Ready(_) => None,
            WaitOutcome::Shutdown(reason) => Some(Failure::shutdown(Phase::Stdout, "-", reason)),
            WaitOutcome::TimedOut => {
                Some(Failure::timeout(Phase::Stdout, "-", idle_timeout.unwrap_or_default()))
            }
        };
        Ok(failure.is_none())
    })?;
    failure.map_or(Ok(()), Err)
}

/// As [`write_all`] until the run is to end; from then on the reader has `grace`, counted once for
/// all calls that share `deadline`. Returns how many bytes it has not taken.
pub fn write_with_grace(
    bytes: &[u8],
    shutdown: &Shutdown,
    grace: Duration,
    deadline: &mut Option<Instant>,
) -> Result<usize, Failure> {
    let stdout = rustix::stdio::stdout();
    let taken = write_until(bytes, || match shutdown.wait(stdout, PollFlags::OUT, None)? {
        WaitOutcome::Ready(_) | WaitOutcome::TimedOut => Ok(true),
        WaitOutcome::Shutdown(_) => {
            is_writable(Some(*deadline.get_or_insert_with(|| Instant::now() + grace)))
        }
    })?;
    Ok(bytes.len() - taken)
}

/// Writes; `wait` is called when there is no room, and ends the writing with false. Returns how many
/// bytes were written.
fn write_until(bytes: &[u8], mut wait: impl FnMut() -> io::Result<bool>) -> Result<usize, Failure> {
    let (mut left, mut refusals) = (bytes, 0);
    while !left.is_empty() {
        match write_available(left) {
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

/// Waits for room in stdout; returns whether there is some by `deadline`.
fn is_writable(deadline: Option<Instant>) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::OUT)];
    Ok(poll_until(&mut fds, deadline)? > 0)
}

/// Writes what stdout takes without blocking: up to a page to a pipe, a socket or a terminal with
/// room (pipe(7)), everything to a file. Fails with `EAGAIN` without room.
fn write_available(bytes: &[u8]) -> Result<usize, Errno> {
    const PAGE: usize = 4096;
    let stdout = rustix::stdio::stdout();
    let kind = rustix::fs::fstat(stdout).map(|stat| FileType::from_raw_mode(stat.st_mode));
    if kind == Ok(FileType::RegularFile) {
        return rustix::io::write(stdout, bytes);
    }
    if !is_writable(Some(Instant::now())).unwrap_or(true) {
        return Err(Errno::AGAIN);
    }
    rustix::io::write(stdout, &bytes[..bytes.len().min(PAGE)])
}

fn failed(e: io::Error) -> Failure {
    Failure::new(Phase::Stdout, "-", e)
}

/// Whether the failure is that the reader of stdout has closed it.
pub fn is_broken_pipe(failure: &Failure) -> bool {
    failure.phase == Phase::Stdout && failure.errno() == Some(libc::EPIPE)
}

/// Writes a document (a man page, a completion script) as [`write_all`]; a reader that closes early
/// is no error.
pub fn write_document(bytes: &[u8]) -> Result<(), Failure> {
    match write_all(bytes) {
        Err(failure) if is_broken_pipe(&failure) => Ok(()),
        done => done,
    }
}
