//! Unix stream sockets: a path, or a name in Linux's abstract namespace (unix(7)).
//!
//! A path is taken only from nobody: a stale socket file, on which no one answers, is replaced; a
//! live one and any other kind of file are left alone. What we made we remove at the end, unless
//! somebody has put something else in its place.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, flock};
use socket2::{Domain, SockAddr, Socket, Type};

use super::address::Address;
use super::listen::Listener;
use super::stream::Stream;
use crate::error::{ExitCode, Failure, Phase};
use crate::process::output_file::directory_of;
use crate::shutdown::{Shutdown, earliest};

/// The longest path, and the longest abstract name without its leading NUL, that a socket address
/// holds (unix(7): `sun_path` less one NUL, at the end or the beginning).
const LONGEST: usize = 107;
/// How often a full backlog is tried again: for Unix sockets there is nothing to poll.
const AGAIN: Duration = Duration::from_millis(10);
/// How long another sockit may take to bind in the same directory. Any process that may read the
/// directory can hold its lock, which must not delay a start.
const TURN: Duration = Duration::from_millis(100);

/// A socket file younger than this may belong to a server that does not listen yet, and is looked
/// at again after the second time.
const YOUNG: Duration = Duration::from_secs(1);
const SECOND_LOOK: Duration = Duration::from_millis(50);

/// Where a Unix socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnixAddress {
    /// A path in the file system.
    Path(PathBuf),
    /// A name in the abstract namespace, without its leading NUL.
    Abstract(Vec<u8>),
}

impl UnixAddress {
    /// Reads a path, or with a leading `@` an abstract name.
    pub fn read(word: &OsStr) -> UnixAddress {
        match word.as_bytes().strip_prefix(b"@") {
            Some(name) => UnixAddress::Abstract(name.to_vec()),
            None => UnixAddress::Path(PathBuf::from(word)),
        }
    }

    /// The socket address of this name.
    ///
    /// Fails when it is too long, or has a NUL inside.
    pub fn address(&self) -> io::Result<SockAddr> {
        let invalid = |why| io::Error::new(ErrorKind::InvalidInput, why);
        let bytes = match self {
            UnixAddress::Path(path) => path.as_os_str().as_bytes().to_vec(),
            UnixAddress::Abstract(name) => [b"\0", name.as_slice()].concat(),
        };
        let is_path = matches!(self, UnixAddress::Path(_));
        let longest = if is_path { LONGEST } else { LONGEST + 1 };
        match bytes.len() {
            0 => return Err(invalid("the path is empty")),
            1.. if bytes[1..].contains(&0) => return Err(invalid("a NUL inside the name")),
            n if n > longest && is_path => {
                return Err(invalid("the path is too long for a socket"));
            }
            n if n > longest => return Err(invalid("the name is too long for a socket")),
            _ => {}
        }
        SockAddr::unix(OsStr::from_bytes(&bytes))
    }
}

impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnixAddress::Path(path) => path.display().fmt(f),
            UnixAddress::Abstract(name) => write!(f, "@{}", String::from_utf8_lossy(name)),
        }
    }
}

/// A socket file of ours; dropping it removes the file if it is still the one we made.
#[derive(Debug)]
pub struct SocketFileGuard {
    path: PathBuf,
    made: (u64, u64),
}

impl Drop for SocketFileGuard {
    fn drop(&mut self) {
        if identity(&self.path).is_some_and(|(found, _)| found == self.made) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl SocketFileGuard {
    /// What can tell, once the claim has gone, whether its file went too.
    pub fn trace(&self) -> SocketFileCleanup {
        SocketFileCleanup { path: self.path.clone(), made: self.made }
    }
}

/// What a claim may have left behind.
#[derive(Debug)]
pub struct SocketFileCleanup {
    path: PathBuf,
    made: (u64, u64),
}

impl SocketFileCleanup {
    /// Where it was.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file if it is still there, and still ours.
    ///
    /// Fails when it cannot be, above all for somebody else than made it (`--user`).
    pub fn remove(&self) -> io::Result<()> {
        match fs::symlink_metadata(&self.path) {
            Ok(meta) if (meta.dev(), meta.ino()) == self.made => fs::remove_file(&self.path),
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

/// Binds a socket of `kind` to `name`, its file born with exactly `mode`.
///
/// Fails at [`Stage::Bind`] with 45: the path is occupied, too long, or its directory not ours to
/// write in.
pub fn bind(
    name: &UnixAddress,
    kind: Type,
    mode: u32,
) -> Result<(Socket, Option<SocketFileGuard>), Failure> {
    let failed = |e: io::Error| Failure::new(Phase::Bind, name, e);
    let address = name.address().map_err(failed)?;
    let socket = Socket::new(Domain::UNIX, kind, None)
        .map_err(|e| Failure::new(Phase::Socket, name, e).with_code(ExitCode::Bind))?;
    match name {
        UnixAddress::Abstract(_) => {
            socket.bind(&address).map_err(failed)?;
            Ok((socket, None))
        }
        UnixAddress::Path(path) => {
            let claim = claim(path, &socket, &address, mode).map_err(failed)?;
            Ok((socket, Some(claim)))
        }
    }
}

/// A listening stream socket at `name`; fails as [`bind`] does, or at [`Stage::Listen`].
pub fn listen(name: &UnixAddress, mode: u32, backlog: i32) -> Result<Listener, Failure> {
    let _turn = match name {
        UnixAddress::Path(path) => {
            lock_directory(path).map_err(|e| Failure::new(Phase::Bind, name, e))?
        }
        UnixAddress::Abstract(_) => None,
    };
    let (socket, claim) = bind(name, Type::STREAM, mode)?;
    let failed = |e| Failure::new(Phase::Listen, name, e);
    socket.listen(backlog).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    let local = socket.local_addr().map_err(failed)?;
    Ok(Listener { local: Address::from(&local), socket, socket_file: claim })
}

/// Takes turns with other sockits in the same directory: between bind and listen a live socket
/// looks stale. The lock goes with the returned file; `None` when there is none to be had in time.
fn lock_directory(path: &Path) -> io::Result<Option<File>> {
    let directory = File::open(directory_of(path))?;
    let until = Instant::now() + TURN;
    loop {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(directory)),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => {
                std::thread::sleep(AGAIN);
            }
            // Held by another process, or a file system without locks.
            Err(_) => return Ok(None),
        }
    }
}

fn claim(
    path: &Path,
    socket: &Socket,
    address: &SockAddr,
    mode: u32,
) -> io::Result<SocketFileGuard> {
    clear_stale(path)?;
    // The file is born with its mode: no moment at which others could connect.
    let before = rustix::process::umask(Mode::from_raw_mode(!mode & 0o777));
    let bound = socket.bind(address);
    rustix::process::umask(before);
    bound?;
    let (made, _) = identity(path).ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
    Ok(SocketFileGuard { path: path.to_path_buf(), made })
}

/// Removes a socket file on which nobody answers; refuses everything else that is there.
fn clear_stale(path: &Path) -> io::Result<()> {
    let Some((found, is_socket)) = identity(path) else { return Ok(()) };
    let occupied = |why| Err(io::Error::new(ErrorKind::AddrInUse, why));
    if !is_socket {
        return occupied("the path is occupied by something that is not a socket");
    }
    if is_live(path)? {
        return occupied("a live server has this path");
    }
    match identity(path) {
        Some((still, true)) if still == found => fs::remove_file(path),
        _ => occupied("the path changed hands just now"),
    }
}

/// Whether a server has this path. Without a turn it may be between bind and listen, where nothing
/// answers yet: a file that has just been made is looked at twice.
fn is_live(path: &Path) -> io::Result<bool> {
    if is_listening(path)? {
        return Ok(true);
    }
    let made = fs::symlink_metadata(path).and_then(|facts| facts.modified());
    match made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age < YOUNG)) {
        true => std::thread::sleep(SECOND_LOOK),
        false => return Ok(false),
    }
    is_listening(path)
}

/// Whether anybody holds the socket at `path`, of whichever type.
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

/// Device, inode and whether it is a socket; a symbolic link is itself, not what it points to.
fn identity(path: &Path) -> Option<((u64, u64), bool)> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some(((meta.dev(), meta.ino()), meta.file_type().is_socket()))
}

/// Connects to the stream socket at `name`.
///
/// Fails at [`Stage::Connect`]: with 7, or 28 when the server's backlog stays full for `limit`.
pub fn dial(
    name: &UnixAddress,
    limit: Option<Duration>,
    stop: &Shutdown,
) -> Result<Stream, Failure> {
    let failed = |e: io::Error| match e.raw_os_error() {
        Some(libc::EPROTOTYPE) => Failure::new(Phase::Connect, name, e)
            .with_hint("it is no stream socket; unix-client --datagram reaches datagram sockets"),
        _ => Failure::new(Phase::Connect, name, e),
    };
    let address = name.address().map_err(failed)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)
        .map_err(|e| Failure::new(Phase::Socket, name, e))?;
    socket.set_nonblocking(true).map_err(failed)?;
    let ours = limit.and_then(|limit| Instant::now().checked_add(limit));
    let until = earliest(ours, stop.deadline());
    while let Err(e) = socket.connect(&address) {
        match e.kind() {
            ErrorKind::WouldBlock => {}
            ErrorKind::Interrupted => continue,
            _ => return Err(failed(e)),
        }
        stop.sleep(AGAIN).map_err(|reason| Failure::shutdown(Phase::Connect, name, reason))?;
        if until.is_some_and(|at| at <= Instant::now()) {
            return Err(Failure::timeout(Phase::Connect, name, limit.unwrap_or_default()));
        }
    }
    socket.set_nonblocking(false).map_err(failed)?;
    Stream::from_socket(socket).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    fn name(directory: &tempfile::TempDir) -> (PathBuf, UnixAddress) {
        let path = directory.path().join("s");
        (path.clone(), UnixAddress::Path(path))
    }

    #[test]
    fn a_stale_socket_is_replaced_and_ours_is_removed_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let (path, name) = name(&directory);
        drop(UnixListener::bind(&path).unwrap());
        let listener = listen(&name, 0o600, 5).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_live_socket_and_any_other_file_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (path, name) = name(&directory);
        let live = UnixListener::bind(&path).unwrap();
        assert_eq!(listen(&name, 0o600, 5).unwrap_err().code, ExitCode::Bind);
        assert!(path.exists());
        drop(live);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert_eq!(listen(&name, 0o600, 5).unwrap_err().code, ExitCode::Bind);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn what_somebody_put_in_our_place_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (path, name) = name(&directory);
        let listener = listen(&name, 0o666, 5).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "theirs").unwrap();
        drop(listener);
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
    }

    #[test]
    fn names_that_no_socket_can_have_are_refused() {
        for word in ["", &"x".repeat(108), &format!("@{}", "x".repeat(108))] {
            assert!(UnixAddress::read(OsStr::new(word)).address().is_err(), "{word}");
        }
        for word in ["x".repeat(107), format!("@{}", "x".repeat(107))] {
            assert!(UnixAddress::read(OsStr::new(&word)).address().is_ok(), "{word}");
        }
    }
}
