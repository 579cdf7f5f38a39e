//! What the commands on datagrams share, UDP and Unix alike: a server that answers each datagram by
//! itself, and a client that sends, listens and counts.
//!
//! udp-echo, udp-server, udp-client and the two Unix commands under `--datagram` differ only in how
//! they come to their socket.

pub use crate::datagram::client::ping::ping;
pub use crate::datagram::client::{Replies, SendJob, talk};
pub use crate::datagram::server::handler::Handler;
pub use crate::datagram::server::print::PrintFormat;
pub use crate::datagram::server::{ServerConfig, serve};

use std::time::Duration;

use socket2::Socket;

use crate::error::{Failure, Phase};
use crate::net::address::Address;
use crate::process::systemd::{SocketKind, passed_socket};

/// How long programs may still take when a server that has no `--grace` ends.
pub const GRACE: Duration = Duration::from_secs(3);

/// The socket that a service manager passed to us under this name, or one that `bind` makes.
pub fn socket(
    name: &'static str,
    bind: impl FnOnce() -> Result<Socket, Failure>,
) -> Result<Socket, Failure> {
    match passed_socket(SocketKind { name, inet: true, stream: false })? {
        Some(socket) => Ok(socket),
        None => bind(),
    }
}

/// Where a socket is bound. Fails at [`Stage::Bind`] when it is not.
pub fn local(socket: &Socket) -> Result<Address, Failure> {
    let local = socket.local_addr().map_err(|e| Failure::new(Phase::Bind, "-", e))?;
    Ok(Address::from(&local))
}
