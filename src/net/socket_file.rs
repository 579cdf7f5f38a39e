//! Files of Unix sockets: created with their mode, replaced if stale, removed at the end.
//!
//! A stale socket file, on which no process listens, is replaced; a live one and any other kind of
//! file are left alone. A file is removed only if it is still the one that this process created.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, flock};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::process::directory_entry::directory_of;

/// Limit and interval of waiting for the lock of a directory. Any process that may read the
/// directory can hold it, which must not delay a start.
const LOCK_TIMEOUT: Duration = Duration::from_millis(100);
const LOCK_INTERVAL: Duration = Duration::from_millis(10);
/// A socket file younger than this may belong to a server that does not listen yet: it is probed
/// again after a delay.
const MIN_STALE_AGE: Duration = Duration::from_secs(1);
const PROBE_DELAY: Duration = Duration::from_millis(50);

/// Device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

/// The socket file of this process; dropping it removes the file if it is still the same one.
#[derive(Debug)]
pub struct SocketFileGuard(SocketFileCleanup);

impl Drop for SocketFileGuard {
    fn drop(&mut self) {
        let _ = self.0.remove();
    }
}

impl SocketFileGuard {
    /// Returns what removes the file if dropping the guard could not.
    pub fn trace(&self) -> SocketFileCleanup {
        self.0.clone()
    }
}

/// A socket file that a dropped guard may have left behind.
#[derive(Debug, Clone)]
pub struct SocketFileCleanup {
    path: PathBuf,
    id: FileId,
}

impl SocketFileCleanup {
    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file if it is still there, and still the same.
    ///
    /// Fails when it cannot be removed, above all after a change of the user (`--user`).
    pub fn remove(&self) -> io::Result<()> {
        match fs::symlink_metadata(&self.path) {
            Ok(meta) if FileId(meta.dev(), meta.ino()) == self.id => fs::remove_file(&self.path),
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

/// Binds `socket` to `address`, whose file at `path` is created with exactly `mode`.
///
/// Fails when the path is occupied, or its directory is not writable.
pub(super) fn bind(
    path: &Path,
    socket: &Socket,
    address: &SockAddr,
    mode: u32,
) -> io::Result<SocketFileGuard> {
    remove_stale(path)?;
    // The umask gives the file its mode from the start: at no moment can other users connect.
    let before = rustix::process::umask(Mode::from_raw_mode(!mode & 0o777));
    let bound = socket.bind(address);
    rustix::process::umask(before);
    bound?;
    let (id, _) = identify(path).ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
    Ok(SocketFileGuard(SocketFileCleanup { path: path.to_path_buf(), id }))
}

/// Locks the directory of `path` against other sockit processes: between bind and listen a live
/// socket looks stale. The lock ends with the returned file; `None` when the lock is not free in
/// time.
pub(super) fn lock_directory(path: &Path) -> io::Result<Option<File>> {
    let directory = File::open(directory_of(path))?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(directory)),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(LOCK_INTERVAL);
            }
            // Held by another process, or a file system without locks.
            Err(_) => return Ok(None),
        }
    }
}

/// Removes a socket file on which no process listens; refuses any other file.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Some((id, is_socket)) = identify(path) else { return Ok(()) };
    let occupied = |why| Err(io::Error::new(ErrorKind::AddrInUse, why));
    if !is_socket {
        return occupied("the path is occupied by something that is not a socket");
    }
    if is_live(path)? {
        return occupied("a live server has this path");
    }
    match identify(path) {
        Some((now, true)) if now == id => fs::remove_file(path),
        _ => occupied("another process has just replaced the file"),
    }
}

/// Whether a server has this path. Without the lock it may be between bind and listen, where
/// connecting fails: a new file is probed twice.
fn is_live(path: &Path) -> io::Result<bool> {
    if is_listening(path)? {
        return Ok(true);
    }
    let created = fs::symlink_metadata(path).and_then(|meta| meta.modified());
    if !created.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < MIN_STALE_AGE)) {
        return Ok(false);
    }
    std::thread::sleep(PROBE_DELAY);
    is_listening(path)
}

/// Whether a process has the socket at `path`, of whichever type.
fn is_listening(path: &Path) -> io::Result<bool> {
    let address = SockAddr::unix(path)?;
    for kind in [Type::STREAM, Type::DGRAM, Type::SEQPACKET] {
        let probe = Socket::new(Domain::UNIX, kind, None)?;
        probe.set_nonblocking(true)?;
        match probe.connect(&address) {
            Ok(()) => return Ok(true),
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => return Ok(false),
            Err(e) if e.raw_os_error() == Some(libc::EPROTOTYPE) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

/// The identity of the file, and whether it is a socket; a symbolic link is not followed.
fn identify(path: &Path) -> Option<(FileId, bool)> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some((FileId(meta.dev(), meta.ino()), meta.file_type().is_socket()))
}
