//! Sending several datagrams with one call: sendmmsg(2).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use libc::{iovec, mmsghdr};
use socket2::Socket;

use super::super::BATCH_SIZE;
use super::cmsg::ControlMessages;
use crate::datagram::message::{LocalSource, Transmit};
use crate::datagram::portable;

/// Sends as many from the front of `transmits` as one call takes, or one where sendmmsg(2) is
/// refused, and returns their number.
///
/// Fails if the first cannot be sent; a full buffer is `WouldBlock`.
pub fn send(socket: &Socket, transmits: &[Transmit<'_>]) -> io::Result<usize> {
    let mut controls = [const { MaybeUninit::<ControlMessages>::uninit() }; BATCH_SIZE];
    let mut buffers = [const { MaybeUninit::<iovec>::uninit() }; BATCH_SIZE];
    let mut headers = [const { MaybeUninit::<mmsghdr>::uninit() }; BATCH_SIZE];

    let count = transmits.len().min(BATCH_SIZE);
    for (n, transmit) in transmits[..count].iter().enumerate() {
        // The kernel only reads what it sends.
        let base = transmit.contents.as_ptr().cast_mut().cast();
        let buffer = iovec { iov_base: base, iov_len: transmit.contents.len() };
        // SAFETY: a zeroed mmsghdr has no pointers.
        let header = &mut headers[n].write(unsafe { std::mem::zeroed() }).msg_hdr;
        if let Some(peer) = transmit.destination {
            header.msg_name = peer.as_ptr().cast_mut().cast();
            header.msg_namelen = peer.len();
        }
        header.msg_iov = buffers[n].write(buffer);
        header.msg_iovlen = 1;
        if transmit.count() > 1 || transmit.source != LocalSource::default() {
            controls[n].write(ControlMessages::of(transmit)).attach(header);
        }
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the first `count` headers point into `buffers`, `controls` and `transmits`, all of
    // which outlive the call; the kernel writes only the length of each header.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr().cast(), count as u32, flags as _)
    };
    if sent >= 0 {
        return Ok(sent as usize);
    }
    match io::Error::last_os_error() {
        e if e.raw_os_error() == Some(libc::ENOSYS) => portable::send(socket, transmits),
        e => Err(e),
    }
}
