//! Several datagrams by one call: sendmmsg(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{iovec, mmsghdr};

use super::super::MOST;
use super::super::envelope::Outgoing;
use super::control::Control;

/// Sends from the front of `letters` what one call takes, and tells how many that were. The
/// failure is that of the first one; a full buffer is `WouldBlock`.
pub fn send(fd: BorrowedFd<'_>, letters: &[Outgoing<'_>]) -> io::Result<usize> {
    let mut controls = [const { Control::none() }; MOST];
    let mut pieces = [const { iovec { iov_base: ptr::null_mut(), iov_len: 0 } }; MOST];
    // SAFETY: an mmsghdr of zeroes is one without pointers.
    let mut headers: [mmsghdr; MOST] = unsafe { std::mem::zeroed() };

    let count = letters.len().min(MOST);
    for (n, letter) in letters[..count].iter().enumerate() {
        // The kernel only reads what it is told to send.
        let base = letter.bytes.as_ptr().cast_mut().cast();
        pieces[n] = iovec { iov_base: base, iov_len: letter.bytes.len() };
        let header = &mut headers[n].msg_hdr;
        if let Some(peer) = letter.peer {
            header.msg_name = peer.as_ptr().cast_mut().cast();
            header.msg_namelen = peer.len();
        }
        header.msg_iov = &mut pieces[n];
        header.msg_iovlen = 1;
        controls[n].leave_from(letter.origin);
        if letter.count() > 1 {
            controls[n].come_apart(letter.segment);
        }
        controls[n].attach(header);
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the first `count` headers point into `pieces`, `controls` and the letters, all of
    // which outlive the call; the kernel writes only the headers' own lengths.
    let sent =
        unsafe { libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count as u32, flags as _) };
    match sent {
        ..0 => Err(io::Error::last_os_error()),
        sent => Ok(sent as usize),
    }
}
