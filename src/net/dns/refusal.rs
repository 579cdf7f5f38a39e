//! Hearing that nobody listens, on a socket that is not connected.
//!
//! A connected UDP socket would drop replies from a wrong source before we can tell of them;
//! an unconnected one hears nothing of ICMP's refusals unless it asks (ip(7), IP_RECVERR).
#![allow(unsafe_code)] // setsockopt(2): no crate in the house offers this option

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// Asks that a refusal fails the next receive with `ECONNREFUSED`. Where the kernel has no
/// such option a refusal stays silence, and the deadline tells.
pub fn hear(socket: &UdpSocket, v6: bool) {
    let (level, option) = match v6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        false => (libc::IPPROTO_IP, libc::IP_RECVERR),
    };
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open for the whole call, and the value is one int that the
    // kernel only reads.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(&on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}
