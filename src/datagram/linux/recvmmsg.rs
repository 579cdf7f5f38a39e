//! Several datagrams by one call: recvmmsg(2).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{iovec, mmsghdr, sockaddr_storage};
use socket2::{SockAddr, SockAddrStorage};

use super::super::BATCH_SIZE;
use super::cmsg;
use super::cmsg::CmsgBuffer;
use crate::datagram::message::RecvMeta;
use crate::datagram::recv_batch::{RecvBatch, SlotMeta};

/// Fills `batch` with what is there; an empty queue is `WouldBlock`.
pub fn receive(fd: BorrowedFd<'_>, batch: &mut RecvBatch) -> io::Result<usize> {
    let mut names = [const { MaybeUninit::<sockaddr_storage>::uninit() }; BATCH_SIZE];
    let mut controls = [const { MaybeUninit::<CmsgBuffer>::uninit() }; BATCH_SIZE];
    let mut pieces = [const { MaybeUninit::<iovec>::uninit() }; BATCH_SIZE];
    let mut headers = [const { MaybeUninit::<mmsghdr>::uninit() }; BATCH_SIZE];

    let (slots, facts) = batch.prepare();
    let mut rooms = 0;
    for (n, slot) in slots.take(BATCH_SIZE).enumerate() {
        let piece = iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
        // SAFETY: an mmsghdr of zeroes is one without pointers.
        let header = headers[n].write(unsafe { std::mem::zeroed() });
        let header = &mut header.msg_hdr;
        header.msg_name = names[n].as_mut_ptr().cast();
        header.msg_namelen = size_of::<sockaddr_storage>() as libc::socklen_t;
        header.msg_iov = pieces[n].write(piece);
        header.msg_iovlen = 1;
        header.msg_control = controls[n].as_mut_ptr().cast();
        header.msg_controllen = size_of::<CmsgBuffer>() as _;
        rooms = n + 1;
    }
    let flags = libc::MSG_DONTWAIT;
    // SAFETY: the first `rooms` headers point into `names`, `pieces`, `controls` and the batch's
    // slots, all of which outlive the call and are borrowed by nobody else.
    let came = unsafe {
        let timeout = ptr::null_mut();
        let headers = headers.as_mut_ptr().cast();
        libc::recvmmsg(fd.as_raw_fd(), headers, rooms as u32, flags as _, timeout)
    };
    if came < 0 {
        return Err(io::Error::last_os_error());
    }
    let filled = headers[..rooms.min(came as usize)].iter();
    // SAFETY: the kernel filled that many of the headers we wrote, and what they point to is still
    // alive.
    facts.extend(filled.map(|header| unsafe { read(header.assume_init_ref()) }));
    Ok(came as usize)
}

/// # Safety
///
/// `header` must be one that recvmmsg(2) filled, what it points to still alive.
unsafe fn read(header: &mmsghdr) -> SlotMeta {
    let message = &header.msg_hdr;
    // SAFETY: as the caller promises.
    let (peer, told) = unsafe { (sender_address(message), cmsg::read(message)) };
    let cut = message.msg_flags & libc::MSG_TRUNC != 0;
    SlotMeta {
        envelope: RecvMeta { peer, origin: told.origin, cut },
        length: header.msg_len as usize,
        segment: told.segment,
    }
}

/// The address in a filled header; one of no family where the sender has none.
///
/// # Safety
///
/// As for [`read`].
pub unsafe fn sender_address(message: &libc::msghdr) -> SockAddr {
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
