//! UDP sockets with a timeout on every wait, and pipes.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::support::sockit::LIMIT;

/// A UDP socket on a free port of this address.
#[track_caller]
pub fn udp_socket_at(ip: &str) -> UdpSocket {
    let ip: IpAddr = ip.parse().expect("an address");
    let socket = UdpSocket::bind((ip, 0)).expect("a free port");
    socket.set_read_timeout(Some(LIMIT)).expect("a read limit");
    socket
}

/// A UDP socket on loopback.
#[track_caller]
pub fn udp_socket() -> UdpSocket {
    udp_socket_at("127.0.0.1")
}

/// Receives the next datagram and its source.
#[track_caller]
pub fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let (n, from) = socket.recv_from(&mut buffer).expect("a datagram");
    buffer.truncate(n);
    (buffer, from)
}

/// Sends one datagram and receives the next one.
#[track_caller]
pub fn exchange(socket: &UdpSocket, to: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    socket.send_to(bytes.as_ref(), to).expect("a sent datagram");
    receive(socket).0
}

/// The address of a socket.
pub fn local_addr(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("a bound address")
}

/// A pipe for the stdout of a run that is not read, with its reader.
#[track_caller]
pub fn unread_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    std::io::pipe().expect("a pipe")
}

/// A pipe with a non-blocking writer (`O_NONBLOCK`) and a slow reader. The returned function
/// returns what was read once all writers are closed.
#[track_caller]
pub fn nonblocking_pipe() -> (std::io::PipeWriter, impl FnOnce() -> Vec<u8>) {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("a non-blocking writer");
    let reads = std::thread::spawn(move || {
        let (mut all, mut piece) = (Vec::new(), vec![0; 3000]);
        while let Ok(n @ 1..) = std::io::Read::read(&mut reader, &mut piece) {
            all.extend_from_slice(&piece[..n]);
            std::thread::sleep(std::time::Duration::from_micros(300));
        }
        all
    });
    (writer, move || reads.join().expect("a reader"))
}
