//! Several datagrams by one call: sendmmsg(2).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{iovec, mmsghdr};

use super::super::BATCH_SIZE;
use super::cmsg::Control;
use crate::datagram::message::{LocalSource, Transmit};

/// Sends from the front of `letters` what one call takes, and tells how many that were. The
/// failure is that of the first one; a full buffer is `WouldBlock`.
pub fn send(fd: BorrowedFd<'_>, letters: &[Transmit<'_>]) -> io::Result<usize> {
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; BATCH_SIZE];
    let mut pieces = [const { MaybeUninit::<iovec>::uninit() }; BATCH_SIZE];
    let mut headers = [const { MaybeUninit::<mmsghdr>::uninit() }; BATCH_SIZE];

    let count = letters.len().min(BATCH_SIZE);
    for (n, letter) in letters[..count].iter().enumerate() {
        // The kernel only reads what it is told to send.
        let base = letter.bytes.as_ptr().cast_mut().cast();
        let piece = iovec { iov_base: base, iov_len: letter.bytes.len() };
        // SAFETY: an mmsghdr of zeroes is one without pointers.
        let header = headers[n].write(unsafe { std::mem::zeroed() });
        let header = &mut header.msg_hdr;
        if let Some(peer) = letter.peer {
            header.msg_name = peer.as_ptr().cast_mut().cast();
            header.msg_namelen = peer.len();
        }
        header.msg_iov = pieces[n].write(piece);
        header.msg_iovlen = 1;
        let merged = letter.count() > 1;
        if merged || letter.origin != LocalSource::default() {
            let control = controls[n].write(Control::none());
            control.set_source(letter.origin);
            if merged {
                control.set_segment_size(letter.segment);
            }
            control.attach(header);
        }
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the first `count` headers point into `pieces`, `controls` and the letters, all of
    // which outlive the call; the kernel writes only the headers' own lengths.
    let sent = unsafe {
        libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr().cast(), count as u32, flags as _)
    };
    match sent {
        ..0 => Err(io::Error::last_os_error()),
        sent => Ok(sent as usize),
    }
}
