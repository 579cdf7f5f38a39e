//! The process at the other end of a Unix socket (unix(7), `SO_PEERCRED`).

use serde::Serialize;
use socket2::Socket;

/// The process at the other end of a Unix socket at the time of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PeerCredentials {
    /// Process id.
    pub pid: i32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Returns the peer of a Unix socket; `None` for any other kind of socket.
#[cfg(target_os = "linux")]
pub fn credentials(socket: &Socket) -> Option<PeerCredentials> {
    if socket.domain().ok()? != socket2::Domain::UNIX {
        return None;
    }
    let found = rustix::net::sockopt::socket_peercred(socket).ok()?;
    Some(PeerCredentials {
        pid: found.pid.as_raw_nonzero().get(),
        uid: found.uid.as_raw(),
        gid: found.gid.as_raw(),
    })
}

/// Not known on this system.
#[cfg(not(target_os = "linux"))]
pub fn credentials(_: &Socket) -> Option<PeerCredentials> {
    None
}
