//! Linux options of a datagram socket.

use std::io;
use std::os::fd::BorrowedFd;

use socket2::Domain;

use crate::process::sockopt::set;

/// Has the kernel report the local address of each datagram (ip(7), `IP_PKTINFO`; RFC 3542 §6).
///
/// A dual-stack socket sets both options: for a broadcast IPv4 datagram only `IP_PKTINFO` has the
/// address to reply from.
pub fn enable_pktinfo(fd: BorrowedFd<'_>, domain: Domain) -> io::Result<()> {
    if domain == Domain::IPV6 {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
    }
    set(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
}

/// Lets the kernel merge datagrams of one sender and one length (udp(7), `UDP_GRO`).
pub fn enable_gro(fd: BorrowedFd<'_>) -> io::Result<()> {
    set(fd, libc::SOL_UDP, libc::UDP_GRO, 1)
}

/// Sets the receive buffer in bytes, beyond `net.core.rmem_max` (socket(7), `SO_RCVBUFFORCE`).
///
/// Fails without `CAP_NET_ADMIN`.
pub fn force_recv_buffer(fd: BorrowedFd<'_>, bytes: i32) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
}
