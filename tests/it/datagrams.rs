//! Peers that speak in datagrams, each with a limit on every wait.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::sockit::LIMIT;

/// A socket on a port of its own, at this address.
#[track_caller]
pub fn caller_at(ip: &str) -> UdpSocket {
    let ip: IpAddr = ip.parse().expect("an address");
    let socket = UdpSocket::bind((ip, 0)).expect("a port of our own");
    socket.set_read_timeout(Some(LIMIT)).expect("a read limit");
    socket
}

/// A socket on loopback.
#[track_caller]
pub fn caller() -> UdpSocket {
    caller_at("127.0.0.1")
}

/// The next datagram, and from whom.
#[track_caller]
pub fn hear(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let (n, from) = socket.recv_from(&mut buffer).expect("a datagram comes in time");
    buffer.truncate(n);
    (buffer, from)
}

/// Sends one datagram and takes the next that comes.
#[track_caller]
pub fn ask(socket: &UdpSocket, to: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    socket.send_to(bytes.as_ref(), to).expect("a datagram leaves");
    hear(socket).0
}

/// Where a caller is found.
pub fn local(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("a bound address")
}
