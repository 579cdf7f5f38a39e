//! What is known about an established connection, and what ended it.

use std::time::{Instant, SystemTime};

use serde::Serialize;
use socket2::Socket;

use super::address::Address;
use crate::shutdown::ShutdownReason;

/// Properties of an established connection.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// The local address.
    pub local: Address,
    /// The peer's address; for a connection through a proxy, the proxy's.
    pub peer: Address,
    /// When it was established.
    pub began: Instant,
    /// The name in the peer's verified TLS certificate, where there is one.
    pub peer_name: Option<String>,
    /// The peer's TLS certificate, verified or not.
    pub certificate: Option<PeerCertificate>,
    /// Whether TLS encrypts it, and ends each direction by close_notify.
    pub is_encrypted: bool,
    /// The process at the other end of a Unix socket (`SO_PEERCRED`).
    pub credentials: Option<PeerCredentials>,
}

impl ConnectionInfo {
    /// Those of a connection without layers that is established now.
    pub(super) fn new(socket: &Socket, local: Address, peer: Address) -> ConnectionInfo {
        let is_unix = !matches!(peer, Address::Inet(_));
        ConnectionInfo {
            credentials: is_unix.then(|| credentials(socket)).flatten(),
            local,
            peer,
            began: Instant::now(),
            peer_name: None,
            certificate: None,
            is_encrypted: false,
        }
    }
}

/// A certificate that a peer presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Its subject, `CN=…`, or its first alternative name.
    pub subject: String,
    /// The end of its validity, in seconds since 1970.
    pub not_after: i64,
}

impl PeerCertificate {
    /// Returns the complete days until it expires; negative afterwards.
    pub fn days_left(&self) -> i64 {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs() as i64;
        (self.not_after - now).div_euclid(24 * 3600)
    }
}

/// What ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The peer closed first.
    Peer,
    /// This process closed first.
    Local,
    /// The client of a relay closed first.
    Client,
    /// The target of a relay closed first.
    Target,
    /// A fault that a relay puts on its connections (`--fault`).
    Fault,
    /// A reset, or another failure of the connection.
    Reset,
    /// A local time limit.
    Timeout,
    /// A signal to this process.
    Signal,
}

impl From<ShutdownReason> for EndedBy {
    fn from(reason: ShutdownReason) -> EndedBy {
        match reason {
            ShutdownReason::Interrupt | ShutdownReason::Terminate => EndedBy::Signal,
            ShutdownReason::Deadline => EndedBy::Timeout,
        }
    }
}

impl EndedBy {
    /// The name that events use.
    pub fn name(self) -> &'static str {
        match self {
            EndedBy::Peer => "peer",
            EndedBy::Local => "us",
            EndedBy::Client => "client",
            EndedBy::Target => "target",
            EndedBy::Fault => "fault",
            EndedBy::Reset => "reset",
            EndedBy::Timeout => "timeout",
            EndedBy::Signal => "signal",
        }
    }
}

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

/// The process at the other end of a Unix socket (unix(7), `SO_PEERCRED`).
#[cfg(target_os = "linux")]
fn credentials(socket: &Socket) -> Option<PeerCredentials> {
    let found = rustix::net::sockopt::socket_peercred(socket).ok()?;
    let pid = found.pid.as_raw_nonzero().get();
    Some(PeerCredentials { pid, uid: found.uid.as_raw(), gid: found.gid.as_raw() })
}

/// Not known on this system.
#[cfg(not(target_os = "linux"))]
fn credentials(_: &Socket) -> Option<PeerCredentials> {
    None
}
