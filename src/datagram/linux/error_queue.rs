//! ICMP errors from the error queue of a socket (ip(7), `IP_RECVERR`).

use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use libc::{msghdr, sockaddr_storage};
use socket2::Socket;

use super::cmsg;
use super::recvmmsg::peer_address;
use crate::datagram::icmp_errors::IcmpError;
use crate::net::address::Address;

/// Buffer for the extended error, the address of its sender, and their header.
type ErrorBuffer = [u64; 32];

/// Takes the oldest error off the queue, if there is one.
pub fn read_icmp_error(socket: &Socket) -> Option<IcmpError> {
    let mut peer = MaybeUninit::<sockaddr_storage>::uninit();
    let mut control = MaybeUninit::<ErrorBuffer>::uninit();
    // SAFETY: a zeroed msghdr has no pointers; without an iovec the datagram that caused the error
    // is not read.
    let mut header: msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = peer.as_mut_ptr().cast();
    header.msg_namelen = size_of::<sockaddr_storage>() as libc::socklen_t;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of::<ErrorBuffer>() as _;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the header points to buffers that outlive the call, and has their sizes.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, flags) };
    if received < 0 {
        return None;
    }
    // SAFETY: the kernel filled the header, whose buffers are still valid.
    let (peer, ancillary) = unsafe { (peer_address(&header), cmsg::read(&header)) };
    let errno = ancillary.icmp_errno.unwrap_or(libc::EPROTO);
    Some(IcmpError { peer: Address::from(&peer), errno })
}
