//! The kernel's state of a TCP connection, which no crate queries; nothing is known on other systems
//! than Linux.
#![allow(unsafe_code)] // ioctl(2) and getsockopt(2) with plain out-parameters

use std::os::fd::{AsFd, BorrowedFd};

use super::connection_handle::ConnectionHandle;

impl ConnectionHandle {
    /// Returns how many sent bytes are not acknowledged yet (tcp(7), `SIOCOUTQ`); 0 where that is not
    /// known.
    pub fn unacked_bytes(&self) -> usize {
        unacked_bytes(self.socket().as_fd())
    }

    /// Returns how many bytes the peer's kernel has acknowledged, those of layers included, also
    /// after the connection has failed; `None` where that is not known.
    pub fn acknowledged(&self) -> Option<u64> {
        // The SYN counts as one byte.
        bytes_acked(self.socket().as_fd()).map(|bytes| bytes.saturating_sub(1))
    }

    /// Whether the peer's kernel is known not to have acknowledged all of `sent` bytes of a failed
    /// connection. Above a layer `sent` is less than what the connection carried, so that some
    /// missing bytes go unnoticed.
    pub fn unacknowledged(&self, sent: u64) -> bool {
        self.acknowledged().is_some_and(|acked| acked < sent)
    }

    /// Returns how many bytes the kernel has sent, retransmissions not counted, those of layers
    /// included, also after the connection has failed; `None` where that is not known.
    pub fn transmitted(&self) -> Option<u64> {
        /// Where `tcpi_bytes_sent` begins in `struct tcp_info` (since Linux 4.19).
        const BYTES_SENT: usize = 200;
        /// Where `tcpi_bytes_retrans` begins.
        const BYTES_RETRANS: usize = 208;
        let info = tcp_info(self.socket().as_fd())?;
        Some(field(&info, BYTES_SENT)?.saturating_sub(field(&info, BYTES_RETRANS)?))
    }

    /// Whether a TCP connection has failed, or is closed in both directions. What is not delivered by
    /// then never will be.
    pub fn is_closed(&self) -> bool {
        /// `TCP_CLOSE` of net/tcp_states.h, which `tcpi_state` has as its first byte.
        const CLOSE: u8 = 7;
        tcp_info(self.socket().as_fd()).is_some_and(|info| info.first() == Some(&CLOSE))
    }
}

/// Whether the TCP handshake was completed, even if a reset followed. Reading `SO_ERROR` instead
/// would consume that reset.
pub fn was_established(socket: BorrowedFd<'_>) -> bool {
    bytes_acked(socket).is_some_and(|bytes| bytes > 0)
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
use linux::{tcp_info, unacked_bytes};

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::{AsRawFd, BorrowedFd};

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
fn unacked_bytes(_: BorrowedFd<'_>) -> usize {
    0
}

#[cfg(not(target_os = "linux"))]
fn tcp_info(_: BorrowedFd<'_>) -> Option<Vec<u8>> {
    None
}
