//! The socket of a UDP server: passed by the service manager, or bound here.

use socket2::Socket;

use super::multicast;
use crate::error::{Failure, Phase};
use crate::net::address::Address;
use crate::net::listen::ListenOptions;
use crate::process::systemd::{SocketKind, passed_socket};

/// Returns the socket that a service manager passed under `name`, or one bound as `options` says
/// and joined to the multicast `group`.
///
/// Fails as `passed_socket`, `ListenOptions::bind_datagram` and `multicast::bind` do.
pub fn udp_socket(
    name: &'static str,
    options: ListenOptions<'_>,
    group: Option<&str>,
) -> Result<Socket, Failure> {
    match (passed_socket(SocketKind { name, inet: true, stream: false })?, group) {
        (Some(socket), _) => Ok(socket),
        (None, Some(group)) => multicast::bind(options, group),
        (None, None) => options.bind_datagram(),
    }
}

/// The bound address. Fails at [`Phase::Bind`] if there is none.
pub fn local_address(socket: &Socket) -> Result<Address, Failure> {
    let local = socket.local_addr().map_err(|e| Failure::new(Phase::Bind, "-", e))?;
    Ok(Address::from(&local))
}
