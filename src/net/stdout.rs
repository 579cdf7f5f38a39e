//! Our own standard output: data and nothing else, written whole and at once.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::{Failure, Phase};
use crate::shutdown::{Shutdown, WaitOutcome, poll_until};

/// So often a descriptor that poll(2) calls writable may refuse a write with EAGAIN, in a row.
const MAX_REFUSALS: u32 = 1000;

/// Writes all of `bytes` to stdout, unbuffered, however long its reader takes.
///
/// Fails at [`Stage::Stdout`] with code 23, also when the reader is gone (EPIPE): whether that is
/// an error is the caller's to say.
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

/// As [`write_all`], but a reader that takes its time holds up nobody who pulls the cord: then it
/// fails as [`Failure::stopped`].
pub fn write_all_or_shutdown(bytes: &[u8], stop: &Shutdown) -> Result<(), Failure> {
    write_all_within(bytes, None, stop)
}

/// As [`write_all_unless`], but a reader that takes nothing for as long as `idle` is given up on:
/// then it fails as [`Failure::late`].
pub fn write_all_within(
    bytes: &[u8],
    idle: Option<Duration>,
    stop: &Shutdown,
) -> Result<(), Failure> {
    let stdout = rustix::stdio::stdout();
    let mut ended = None;
    write_until(bytes, || {
        let until = idle.and_then(|idle| Instant::now().checked_add(idle));
        ended = match stop.wait(stdout, PollFlags::OUT, until)? {
            WaitOutcome::Ready(_) => None,
            WaitOutcome::Shutdown(reason) => Some(Failure::shutdown(Phase::Stdout, "-", reason)),
            WaitOutcome::TimedOut => {
                Some(Failure::timeout(Phase::Stdout, "-", idle.unwrap_or_default()))
            }
        };
        Ok(ended.is_none())
    })?;
    ended.map_or(Ok(()), Err)
}

/// As [`write_all`] until the cord is pulled; then the reader has until `patience` after that,
/// counted once for all calls that share `last`. Tells how many bytes it has not taken.
pub fn write_with_grace(
    bytes: &[u8],
    stop: &Shutdown,
    patience: Duration,
    last: &mut Option<Instant>,
) -> Result<usize, Failure> {
    let stdout = rustix::stdio::stdout();
    let taken = write_until(bytes, || match stop.wait(stdout, PollFlags::OUT, None)? {
        WaitOutcome::Ready(_) | WaitOutcome::TimedOut => Ok(true),
        WaitOutcome::Shutdown(_) => {
            is_writable(Some(*last.get_or_insert_with(|| Instant::now() + patience)))
        }
    })?;
    Ok(bytes.len() - taken)
}

/// Writes as long as `wait`, asked when there is no room, says that there is some again. Tells how
/// much was written.
fn write_until(bytes: &[u8], mut wait: impl FnMut() -> io::Result<bool>) -> Result<usize, Failure> {
    let (mut left, mut refusals) = (bytes, 0);
    while !left.is_empty() {
        match put(left) {
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

/// Waits for room in stdout; whether there is some by `until`.
fn is_writable(until: Option<Instant>) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::OUT)];
    Ok(poll_until(&mut fds, until)? > 0)
}

/// Writes what stdout takes without waiting: of a pipe, a socket or a terminal with room at least a
/// page (pipe(7)), of a file all. No room is `EAGAIN`.
fn put(bytes: &[u8]) -> Result<usize, Errno> {
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

/// Whether a failure is only that whoever read our stdout has gone.
pub fn is_broken_pipe(failure: &Failure) -> bool {
    failure.stage == Phase::Stdout && failure.errno() == Some(libc::EPIPE)
}

/// Writes a product of ours (a man page, a script for a shell), as [`write_all`]; a reader that
/// leaves early is content with what it has.
pub fn write_document(bytes: &[u8]) -> Result<(), Failure> {
    write_all(bytes).or_else(|failure| match is_broken_pipe(&failure) {
        true => Ok(()),
        false => Err(failure),
    })
}
