//! The kernel's state of a TCP connection, which no crate queries; nothing is known on other systems
//! than Linux.
#![allow(unsafe_code)] // ioctl(2) and getsockopt(2) with plain out-parameters

use std::os::fd::BorrowedFd;

/// Returns how many bytes the peer's kernel has acknowledged, also after the connection has failed.
/// `None` for other sockets.
pub fn acknowledged(socket: BorrowedFd<'_>) -> Option<u64> {
    // The SYN counts as one byte.
    bytes_acked(socket).map(|bytes| bytes.saturating_sub(1))
}

/// Whether the TCP handshake was completed, even if a reset followed. Reading `SO_ERROR` instead
/// would consume that reset.
pub fn was_established(socket: BorrowedFd<'_>) -> bool {
    bytes_acked(socket).is_some_and(|bytes| bytes > 0)
}

/// Whether the kernel has closed a TCP connection: nothing is sent or received any more.
pub fn is_closed(socket: BorrowedFd<'_>) -> bool {
    /// `TCP_CLOSE` of net/tcp_states.h, which `tcpi_state` has as its first byte.
    const CLOSE: u8 = 7;
    tcp_info(socket).is_some_and(|info| info.first() == Some(&CLOSE))
}

/// Returns how many bytes the kernel has sent, retransmissions not counted, those of layers included.
/// `None` for other sockets.
pub fn transmitted(socket: BorrowedFd<'_>) -> Option<u64> {
    /// Where `tcpi_bytes_sent` begins in `struct tcp_info` (since Linux 4.19).
    const BYTES_SENT: usize = 200;
    /// Where `tcpi_bytes_retrans` begins.
    const BYTES_RETRANS: usize = 208;
    let info = tcp_info(socket)?;
    Some(field(&info, BYTES_SENT)?.saturating_sub(field(&info, BYTES_RETRANS)?))
}

/// `tcpi_bytes_acked` of `TCP_INFO` (tcp(7), since Linux 4.1).
fn bytes_acked(socket: BorrowedFd<'_>) -> Option<u64> {
    /// Where `tcpi_bytes_acked` begins in `struct tcp_info`.
    const BYTES_ACKED: usize = 120;
    field(&tcp_info(socket)?, BYTES_ACKED)
}

/// Returns the 64-bit field of `struct tcp_info` that begins at `offset`.
fn field(info: &[u8], offset: usize) -> Option<u64> {
    let bytes = info.get(offset..offset + 8)?.try_into().ok()?;
    Some(u64::from_ne_bytes(bytes))
}

#[cfg(target_os = "linux")]
pub use linux::{tcp_info, unacked_bytes};

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::{AsRawFd, BorrowedFd};

    /// Returns how many sent bytes the peer's kernel has not acknowledged yet (tcp(7), `SIOCOUTQ`); 0
    /// for other sockets.
    pub fn unacked_bytes(socket: BorrowedFd<'_>) -> usize {
        let mut bytes: libc::c_int = 0;
        // SAFETY: SIOCOUTQ (the same number as TIOCOUTQ) writes one c_int to the pointer it is given.
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &mut bytes) };
        bytes.max(0) as usize
    }

    /// `struct tcp_info` (tcp(7), `TCP_INFO`), which only ever grows at its end.
    pub fn tcp_info(socket: BorrowedFd<'_>) -> Option<Vec<u8>> {
        let mut info = vec![0u8; 256];
        let mut length = info.len() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to `info` and the number it wrote to
        // `length`; both outlive the call.
        let done = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &mut length,
            )
        };
        info.truncate(length as usize);
        (done == 0).then_some(info)
    }
}

#[cfg(not(target_os = "linux"))]
pub fn unacked_bytes(_: BorrowedFd<'_>) -> usize {
    0
}

#[cfg(not(target_os = "linux"))]
fn tcp_info(_: BorrowedFd<'_>) -> Option<Vec<u8>> {
    None
}
