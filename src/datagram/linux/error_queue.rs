//! Whose ICMP error it was: the socket's error queue (ip(7), `IP_RECVERR`).

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{msghdr, sock_extended_err, sockaddr_storage};

use super::recvmmsg::sender_address;
use crate::datagram::message::IcmpError;
use crate::net::address::Address;

/// Room for the extended error, the address of whoever sent it, and their header.
type Room = [u64; 32];

/// Takes the oldest error off the queue, if there is one.
pub fn refused(fd: BorrowedFd<'_>) -> Option<IcmpError> {
    let mut peer = MaybeUninit::<sockaddr_storage>::uninit();
    let mut control = MaybeUninit::<Room>::uninit();
    // SAFETY: a msghdr of zeroes is one without pointers; without pieces the datagram that caused
    // the error is not read.
    let mut header: msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = peer.as_mut_ptr().cast();
    header.msg_namelen = size_of::<sockaddr_storage>() as libc::socklen_t;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of::<Room>() as _;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the header points to rooms that outlive the call, and says how large they are.
    let got = unsafe { libc::recvmsg(fd.as_raw_fd(), &mut header, flags) };
    if got < 0 {
        return None;
    }
    // SAFETY: the kernel filled the header, whose rooms are still alive.
    let (peer, errno) = unsafe { (sender_address(&header), errno(&header)) };
    Some(IcmpError { peer: Address::from(&peer), errno })
}

/// # Safety
///
/// `header` must be one that recvmsg(2) filled, its control room still alive.
unsafe fn errno(header: &msghdr) -> i32 {
    let mut errno = libc::EPROTO;
    // SAFETY: FIRSTHDR and NXTHDR stay within what the kernel filled, and a message of this kind
    // begins with a sock_extended_err.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(header);
        while !at.is_null() {
            let kind = ((*at).cmsg_level, (*at).cmsg_type);
            if kind == (libc::IPPROTO_IP, libc::IP_RECVERR)
                || kind == (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            {
                let error: sock_extended_err = ptr::read_unaligned(libc::CMSG_DATA(at).cast());
                errno = error.ee_errno as i32;
            }
            at = libc::CMSG_NXTHDR(header, at);
        }
    }
    errno
}
