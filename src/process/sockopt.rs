//! Integer socket options that no dependency sets: nix does with its feature `net`, which needs a
//! further crate (setsockopt(2)).
#![allow(unsafe_code)] // one system call, which reads one integer

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::Domain;

/// Enables ICMP errors with the address that they concern (ip(7), `IP_RECVERR`). A socket of both
/// families reports both kinds.
pub fn receive_icmp_errors(fd: BorrowedFd<'_>, domain: Domain) -> io::Result<()> {
    if domain == Domain::IPV6 {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)?;
    }
    set(fd, libc::IPPROTO_IP, libc::IP_RECVERR, 1)
}

/// Sets an integer option of `level`.
pub fn set(fd: BorrowedFd<'_>, level: i32, option: i32, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open for the whole call, and the value is one int that the kernel
    // only reads.
    let done = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
