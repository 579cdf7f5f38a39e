//! Options on a datagram socket that only Linux has.

use std::io;
use std::os::fd::BorrowedFd;

use crate::process::sockopt::set;

/// Asks for the address each datagram was sent to (ip(7), `IP_PKTINFO`; RFC 3542 §6). A socket of
/// both families asks in both ways: of IPv4 only `IP_PKTINFO` tells which address of ours to answer
/// from where a whole network was written to.
pub fn enable_pktinfo(fd: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    if v6 {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
    }
    set(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
}

/// Lets the kernel hand over datagrams of one sender and one length as one (udp(7), `UDP_GRO`).
pub fn enable_gro(fd: BorrowedFd<'_>) -> io::Result<()> {
    set(fd, libc::SOL_UDP, libc::UDP_GRO, 1)
}

/// A receive buffer of `bytes` even past `net.core.rmem_max`, for whom that is allowed
/// (socket(7), `SO_RCVBUFFORCE`: needs `CAP_NET_ADMIN`).
pub fn force_recv_buffer(fd: BorrowedFd<'_>, bytes: i32) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
}
