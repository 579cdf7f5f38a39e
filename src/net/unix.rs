//! Unix stream sockets: a path, or a name in Linux's abstract namespace (unix(7)).

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::address::Address;
use super::listen::Listener;
use super::socket_event::{OnSocketEvent, SocketEvent};
use super::socket_file;
use super::stream::Stream;
use crate::error::{ExitCode, Failure, Phase};
use crate::poll::earliest;
use crate::process::directory_entry::directory_of;
use crate::shutdown::Shutdown;

/// The longest path, and the longest abstract name without its leading NUL, that a socket address
/// holds (unix(7): `sun_path` less one NUL, at the end or the beginning).
const MAX_NAME: usize = 107;
/// Interval of connecting to a server with a full backlog: a Unix socket cannot be polled for it.
const BACKLOG_INTERVAL: Duration = Duration::from_millis(10);

/// The name of a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnixAddress {
    /// A path in the file system.
    Path(PathBuf),
    /// A name in the abstract namespace, without its leading NUL.
    Abstract(Vec<u8>),
}

impl UnixAddress {
    /// Parses a path, or with a leading `@` an abstract name.
    pub fn parse(word: &OsStr) -> UnixAddress {
        match word.as_bytes().strip_prefix(b"@") {
            Some(name) => UnixAddress::Abstract(name.to_vec()),
            None => UnixAddress::Path(PathBuf::from(word)),
        }
    }

    /// Returns the directory of the socket file, if there is one.
    pub fn directory(&self) -> Option<PathBuf> {
        match self {
            UnixAddress::Path(path) => Some(directory_of(path).to_path_buf()),
            UnixAddress::Abstract(_) => None,
        }
    }

    /// Returns the socket address of this name.
    ///
    /// Fails when it is too long, or has a NUL inside.
    pub fn address(&self) -> io::Result<SockAddr> {
        let (bytes, what, max_len) = match self {
            UnixAddress::Path(path) => (path.as_os_str().as_bytes().to_vec(), "path", MAX_NAME),
            UnixAddress::Abstract(name) => {
                ([b"\0", name.as_slice()].concat(), "name", MAX_NAME + 1)
            }
        };
        let why = match bytes.len() {
            0 => "the path is empty".to_string(),
            1.. if bytes[1..].contains(&0) => "the name has a NUL byte inside".to_string(),
            n if n > max_len => format!("the {what} is too long for a socket"),
            _ => return SockAddr::unix(OsStr::from_bytes(&bytes)),
        };
        Err(io::Error::new(ErrorKind::InvalidInput, why))
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

/// A bound socket.
#[derive(Debug)]
pub struct BoundSocket {
    /// The socket.
    pub socket: Socket,
    /// Its file, removed when this is dropped.
    pub socket_file: Option<socket_file::SocketFileGuard>,
}

/// Binds a socket of `kind` to `name`, whose file is created with exactly `mode`.
///
/// Fails at [`Phase::Bind`] with 45: the path is occupied or too long, or its directory is not
/// writable.
pub fn bind(
    name: &UnixAddress,
    kind: Type,
    mode: u32,
    emit: OnSocketEvent<'_>,
) -> Result<BoundSocket, Failure> {
    let failed = |e: io::Error| Failure::new(Phase::Bind, name, e);
    let address = name.address().map_err(failed)?;
    let socket = Socket::new(Domain::UNIX, kind, None)
        .map_err(|e| Failure::new(Phase::Socket, name, e).with_code(ExitCode::Bind))?;
    let is_stream = kind == Type::STREAM;
    emit(SocketEvent::Socket(if is_stream { "Unix, stream" } else { "Unix, datagram" }.into()));
    let socket_file = match name {
        UnixAddress::Abstract(_) => socket.bind(&address).map(|()| None),
        UnixAddress::Path(path) => socket_file::bind(path, &socket, &address, mode).map(Some),
    };
    let socket_file = socket_file.map_err(failed)?;
    emit(SocketEvent::Bound(name.to_string()));
    Ok(BoundSocket { socket, socket_file })
}

/// Listens on a stream socket at `name`; fails as [`bind`] does, or at [`Phase::Listen`].
pub fn listen(
    name: &UnixAddress,
    mode: u32,
    backlog: i32,
    emit: OnSocketEvent<'_>,
) -> Result<Listener, Failure> {
    let lock = match name {
        UnixAddress::Path(path) => socket_file::lock_directory(path),
        UnixAddress::Abstract(_) => Ok(None),
    };
    let _lock = lock.map_err(|e| Failure::new(Phase::Bind, name, e))?;
    let BoundSocket { socket, socket_file } = bind(name, Type::STREAM, mode, emit)?;
    Listener::start(socket, socket_file, backlog, emit)
        .map_err(|e| Failure::new(Phase::Listen, name, e))
}

/// Connects to the stream socket at `name`.
///
/// Fails at [`Phase::Connect`]: with 7, or 28 when the server's backlog stays full for `timeout`.
pub fn dial(
    name: &UnixAddress,
    timeout: Option<Duration>,
    shutdown: &Shutdown,
    emit: OnSocketEvent<'_>,
) -> Result<Stream, Failure> {
    let failed = |e: io::Error| match e.raw_os_error() {
        Some(libc::EPROTOTYPE) => Failure::new(Phase::Connect, name, e).with_hint(
            "it is not a stream socket; use unix-client --datagram for a datagram socket",
        ),
        _ => Failure::new(Phase::Connect, name, e),
    };
    let address = name.address().map_err(failed)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)
        .map_err(|e| Failure::new(Phase::Socket, name, e))?;
    emit(SocketEvent::Socket("Unix".into()));
    emit(SocketEvent::Connecting(Address::from(&address)));
    socket.set_nonblocking(true).map_err(failed)?;
    let timeout_at = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let deadline = earliest(timeout_at, shutdown.deadline());
    while let Err(e) = socket.connect(&address) {
        match e.kind() {
            ErrorKind::WouldBlock => {}
            ErrorKind::Interrupted => continue,
            _ => return Err(failed(e)),
        }
        shutdown
            .sleep(BACKLOG_INTERVAL)
            .map_err(|reason| Failure::shutdown(Phase::Connect, name, reason))?;
        if deadline.is_some_and(|at| at <= Instant::now()) {
            return Err(Failure::timeout(Phase::Connect, name, timeout.unwrap_or_default()));
        }
    }
    emit(SocketEvent::Connected(Address::from(&address)));
    socket.set_nonblocking(false).map_err(failed)?;
    Stream::from_socket(socket).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_long_names_are_refused() {
        for word in ["", &"x".repeat(108), &format!("@{}", "x".repeat(108))] {
            assert!(UnixAddress::parse(OsStr::new(word)).address().is_err(), "{word}");
        }
        for word in ["x".repeat(107), format!("@{}", "x".repeat(107))] {
            assert!(UnixAddress::parse(OsStr::new(&word)).address().is_ok(), "{word}");
        }
    }
}
