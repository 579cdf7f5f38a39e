//! What is known about an established connection, and what ended it.

use std::time::{Instant, SystemTime};

use serde::Serialize;
use socket2::Socket;

use super::address::Address;
use crate::error::{ExitCode, Failure};
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

impl From<&Failure> for EndedBy {
    fn from(failure: &Failure) -> EndedBy {
        match (failure.code, failure.errno()) {
            (ExitCode::Timeout, _) => EndedBy::Timeout,
            (ExitCode::Interrupted | ExitCode::Terminated, _) => EndedBy::Signal,
            (_, Some(errno)) if is_peer_error(errno) => EndedBy::Reset,
            (ExitCode::Partial | ExitCode::Send | ExitCode::Receive, None) => EndedBy::Reset,
            _ => EndedBy::Local,
        }
    }
}

/// Whether the error number is caused by the peer or the network (tcp(7), ip(7)).
fn is_peer_error(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNRESET
            | libc::EPIPE
            | libc::ETIMEDOUT
            | libc::ENOTCONN
            | libc::ECONNABORTED
            | libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EPROTO
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Phase;
    use std::io;

    #[test]
    fn failure_has_what_ended_its_connection() {
        let os = |errno| io::Error::from_raw_os_error(errno);
        for (failure, expected) in [
            (Failure::idle(Phase::Receive, "p"), EndedBy::Timeout),
            (Failure::receive("p", os(libc::ECONNRESET), 0), EndedBy::Reset),
            (Failure::send("p", os(libc::EPIPE), 1, 0), EndedBy::Reset),
            (Failure::receive("p", io::Error::other("malformed"), 0), EndedBy::Reset),
            (Failure::receive("p", os(libc::ENOMEM), 0), EndedBy::Local),
            (Failure::write_file("f", os(libc::ENOSPC)), EndedBy::Local),
            (Failure::shutdown(Phase::Send, "p", ShutdownReason::Interrupt), EndedBy::Signal),
        ] {
            assert_eq!(EndedBy::from(&failure), expected, "{failure}");
        }
    }
}
