//! Peers that speak in datagrams, each with a limit on every wait.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::support::sockit::LIMIT;

/// A socket on a port of its own, at this address.
#[track_caller]
pub fn udp_socket_at(ip: &str) -> UdpSocket {
    let ip: IpAddr = ip.parse().expect("an address");
    let socket = UdpSocket::bind((ip, 0)).expect("a port of our own");
    socket.set_read_timeout(Some(LIMIT)).expect("a read limit");
    socket
}

/// A socket on loopback.
#[track_caller]
pub fn udp_socket() -> UdpSocket {
    udp_socket_at("127.0.0.1")
}

/// The next datagram, and from whom.
#[track_caller]
pub fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let (n, from) = socket.recv_from(&mut buffer).expect("a datagram comes in time");
    buffer.truncate(n);
    (buffer, from)
}

/// Sends one datagram and takes the next that comes.
#[track_caller]
pub fn exchange(socket: &UdpSocket, to: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    socket.send_to(bytes.as_ref(), to).expect("a datagram leaves");
    receive(socket).0
}

/// Where a caller is found.
pub fn local_addr(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("a bound address")
}

/// A pipe that nobody reads, for a run's stdout: its reader, to be kept.
#[track_caller]
pub fn unread_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    std::io::pipe().expect("a pipe")
}

/// A pipe whose writer does not wait (`O_NONBLOCK`), and whose reader takes a little at a time.
/// What was read comes from the returned function once all writers are gone.
#[track_caller]
pub fn nonblocking_pipe() -> (std::io::PipeWriter, impl FnOnce() -> Vec<u8>) {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("a writer that does not wait");
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
