//! Sending several datagrams with one call: sendmmsg(2).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{iovec, mmsghdr};

use super::super::BATCH_SIZE;
use super::cmsg::ControlMessages;
use crate::datagram::message::{LocalSource, Transmit};

/// Sends as many from the front of `transmits` as one call takes, and returns their number.
///
/// Fails if the first cannot be sent; a full buffer is `WouldBlock`.
pub fn send(fd: BorrowedFd<'_>, transmits: &[Transmit<'_>]) -> io::Result<usize> {
    let mut controls = [const { MaybeUninit::<ControlMessages>::uninit() }; BATCH_SIZE];
    let mut buffers = [const { MaybeUninit::<iovec>::uninit() }; BATCH_SIZE];
    let mut headers = [const { MaybeUninit::<mmsghdr>::uninit() }; BATCH_SIZE];

    let count = transmits.len().min(BATCH_SIZE);
    for (n, transmit) in transmits[..count].iter().enumerate() {
        // The kernel only reads what it sends.
        let base = transmit.contents.as_ptr().cast_mut().cast();
        let buffer = iovec { iov_base: base, iov_len: transmit.contents.len() };
        // SAFETY: a zeroed mmsghdr has no pointers.
        let header = headers[n].write(unsafe { std::mem::zeroed() });
        let header = &mut header.msg_hdr;
        if let Some(peer) = transmit.destination {
            header.msg_name = peer.as_ptr().cast_mut().cast();
            header.msg_namelen = peer.len();
        }
        header.msg_iov = buffers[n].write(buffer);
        header.msg_iovlen = 1;
        let segmented = transmit.count() > 1;
        if segmented || transmit.source != LocalSource::default() {
            let control = controls[n].write(ControlMessages::new());
            control.set_source(transmit.source);
            if segmented {
                control.set_segment_size(transmit.segment_size);
            }
            control.attach(header);
        }
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the first `count` headers point into `buffers`, `controls` and `transmits`, all of
    // which outlive the call; the kernel writes only the length of each header.
    let sent = unsafe {
        libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr().cast(), count as u32, flags as _)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
}
