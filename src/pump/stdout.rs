//! Our own standard output: data and nothing else, written whole and at once.

use std::io;

use rustix::event::PollFlags;
#[cfg(target_os = "linux")]
use rustix::event::{PollFd, Timespec};
use rustix::io::Errno;

use crate::failure::{Failure, Stage};
use crate::stop::{Stop, Wake};

/// Writes all of `bytes` to stdout, unbuffered.
///
/// Fails at [`Stage::Stdout`] with code 23, also when the reader is gone (EPIPE): whether that is
/// an error is the caller's to say.
pub fn write_all(bytes: &[u8]) -> Result<(), Failure> {
    put_all(bytes).map_err(failed)
}

fn put_all(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// As [`write_all`], but a reader that takes its time holds up nobody who pulls the cord: then it
/// fails as [`Failure::stopped`].
pub fn write_all_unless(mut bytes: &[u8], stop: &Stop) -> Result<(), Failure> {
    while !bytes.is_empty() {
        match put_eagerly(bytes) {
            Ok(0) => return Err(failed(io::ErrorKind::WriteZero.into())),
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => match stop.wait(rustix::stdio::stdout(), PollFlags::OUT, None) {
                Ok(Wake::Stopped(reason)) => {
                    return Err(Failure::stopped(Stage::Stdout, "-", reason));
                }
                Ok(_) => {}
                Err(e) => return Err(failed(e)),
            },
            Err(e) => return Err(failed(e.into())),
        }
    }
    Ok(())
}

/// Writes what a pipe takes at once (`RWF_NOWAIT`); anything else is written to as usual.
#[cfg(target_os = "linux")]
fn put_eagerly(bytes: &[u8]) -> rustix::io::Result<usize> {
    use rustix::io::{IoSlice, ReadWriteFlags, pwritev2};
    /// Where the descriptor stands (pwritev2(2)).
    const HERE: u64 = u64::MAX;
    let stdout = rustix::stdio::stdout();
    match pwritev2(stdout, &[IoSlice::new(bytes)], HERE, ReadWriteFlags::NOWAIT) {
        // A pipe that was spliced into no longer knows the flag.
        Err(Errno::OPNOTSUPP) if is_pipe() => put_page(bytes),
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::SPIPE) => {
            rustix::io::write(stdout, bytes)
        }
        // A file whose pages are not at hand says so too, and is always ready.
        Err(Errno::AGAIN) if !is_pipe() => rustix::io::write(stdout, bytes),
        done => done,
    }
}

/// Writes as much as fits into the one page that a pipe with room certainly has (pipe(7)).
#[cfg(target_os = "linux")]
fn put_page(bytes: &[u8]) -> rustix::io::Result<usize> {
    const PAGE: usize = 4096;
    let stdout = rustix::stdio::stdout();
    let mut fds = [PollFd::from_borrowed_fd(stdout, PollFlags::OUT)];
    match rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? {
        0 => Err(Errno::AGAIN),
        _ => rustix::io::write(stdout, &bytes[..bytes.len().min(PAGE)]),
    }
}

#[cfg(not(target_os = "linux"))]
fn put_eagerly(bytes: &[u8]) -> rustix::io::Result<usize> {
    rustix::io::write(rustix::stdio::stdout(), bytes)
}

#[cfg(target_os = "linux")]
fn is_pipe() -> bool {
    use rustix::fs::{FileType, fstat};
    let kind = fstat(rustix::stdio::stdout()).map(|stat| FileType::from_raw_mode(stat.st_mode));
    kind.is_ok_and(|kind| kind == FileType::Fifo)
}

fn failed(e: io::Error) -> Failure {
    Failure::new(Stage::Stdout, "-", e)
}

/// Whether a failure is only that whoever read our stdout has gone.
pub fn reader_is_gone(failure: &Failure) -> bool {
    failure.stage == Stage::Stdout && failure.errno() == Some(libc::EPIPE)
}

/// Writes a product of ours (a man page, a script for a shell), as [`write_all`]; a reader that
/// leaves early is content with what it has.
pub fn product(bytes: &[u8]) -> Result<(), Failure> {
    write_all(bytes).or_else(|failure| match reader_is_gone(&failure) {
        true => Ok(()),
        false => Err(failure),
    })
}
