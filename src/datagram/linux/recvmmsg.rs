//! Receiving several datagrams with one call: recvmmsg(2).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{iovec, mmsghdr, sockaddr_storage};
use socket2::{SockAddr, SockAddrStorage, Socket};

use super::super::BATCH_SIZE;
use super::cmsg::{self, CmsgBuffer};
use crate::datagram::message::RecvMeta;
use crate::datagram::portable;
use crate::datagram::recv_batch::RecvBatch;

/// Fills `batch` with the queued datagrams, or with one where recvmmsg(2) is refused, and returns
/// the number of filled slots; an empty queue is `WouldBlock`.
pub fn receive(socket: &Socket, batch: &mut RecvBatch) -> io::Result<usize> {
    let mut names = [const { MaybeUninit::<sockaddr_storage>::uninit() }; BATCH_SIZE];
    let mut controls = [const { MaybeUninit::<CmsgBuffer>::uninit() }; BATCH_SIZE];
    let mut buffers = [const { MaybeUninit::<iovec>::uninit() }; BATCH_SIZE];
    let mut headers = [const { MaybeUninit::<mmsghdr>::uninit() }; BATCH_SIZE];

    let slots = batch.bytes.chunks_mut(batch.slot_size).take(BATCH_SIZE);
    let count = slots.len();
    for (n, slot) in slots.enumerate() {
        let buffer = iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
        // SAFETY: a zeroed mmsghdr has no pointers.
        let header = &mut headers[n].write(unsafe { std::mem::zeroed() }).msg_hdr;
        header.msg_name = names[n].as_mut_ptr().cast();
        header.msg_namelen = size_of::<sockaddr_storage>() as libc::socklen_t;
        header.msg_iov = buffers[n].write(buffer);
        header.msg_iovlen = 1;
        header.msg_control = controls[n].as_mut_ptr().cast();
        header.msg_controllen = size_of::<CmsgBuffer>() as _;
    }
    // SAFETY: the first `count` headers point into `names`, `buffers`, `controls` and the slots of
    // the batch, all of which outlive the call and are not borrowed elsewhere.
    let received = unsafe {
        let (headers, timeout) = (headers.as_mut_ptr().cast(), ptr::null_mut());
        let flags = libc::MSG_DONTWAIT as _;
        libc::recvmmsg(socket.as_raw_fd(), headers, count as u32, flags, timeout)
    };
    if received < 0 {
        return match io::Error::last_os_error() {
            e if e.raw_os_error() == Some(libc::ENOSYS) => portable::receive(socket, batch),
            e => Err(e),
        };
    }
    let received = received as usize;
    // SAFETY: the kernel filled that many of the headers written above, and what they point to is
    // still valid.
    let filled = headers[..received].iter().map(|header| unsafe { meta(header.assume_init_ref()) });
    batch.filled.extend(filled);
    Ok(received)
}

/// # Safety
///
/// `header` must be as recvmmsg(2) left it, and what it points to valid.
unsafe fn meta(header: &mmsghdr) -> RecvMeta {
    let message = &header.msg_hdr;
    // SAFETY: as the caller guarantees.
    let (peer, ancillary) = unsafe { (peer_address(message), cmsg::read(message)) };
    RecvMeta {
        peer,
        local: ancillary.local,
        truncated: message.msg_flags & libc::MSG_TRUNC != 0,
        len: header.msg_len as usize,
        segment_size: ancillary.segment_size,
    }
}

/// The address in a filled header; its family is unspecified if the sender has none.
///
/// # Safety
///
/// As for [`meta`].
pub unsafe fn peer_address(message: &libc::msghdr) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    let length = message.msg_namelen.min(storage.size_of());
    // SAFETY: the kernel wrote `length` bytes of an address at `msg_name`, no more than the storage
    // holds; the rest of the storage is zero.
    unsafe {
        let target: *mut u8 = ptr::from_mut(&mut storage).cast();
        ptr::copy_nonoverlapping(message.msg_name.cast::<u8>(), target, length as usize);
        SockAddr::new(storage, length)
    }
}
