//! Receiving and sending without Linux's batch calls: one datagram per call, and the kernel chooses
//! the local address. Also used where a kernel refuses the batch calls.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, ReturnFlags, SocketAddrAny, SocketAddrUnix, recvmsg,
};
use socket2::{SockAddr, Socket};

use super::message::{LocalSource, RecvMeta, Transmit};
use super::recv_batch::{EmptySlots, RecvBatch, SlotMeta};

/// Receives one datagram into the first slot of `batch`; an empty queue is `WouldBlock`.
pub fn receive(socket: &Socket, batch: &mut RecvBatch) -> io::Result<usize> {
    let EmptySlots { mut buffers, filled } = batch.prepare();
    let Some(slot) = buffers.next() else { return Ok(0) };
    let mut control = RecvAncillaryBuffer::default();
    let mut slices = [IoSliceMut::new(slot)];
    let received = recvmsg(socket, &mut slices, &mut control, RecvFlags::DONTWAIT)?;
    let peer = received.address.map_or_else(unnamed, address)?;
    let truncated = received.flags.contains(ReturnFlags::TRUNC);
    let meta = RecvMeta { peer, local: LocalSource::default(), truncated };
    filled.push(SlotMeta { meta, len: received.bytes, segment_size: 0 });
    Ok(1)
}

/// Sends the first of `transmits` and returns 1. Several payloads of one transmit may be sent in
/// part when it fails.
pub fn send(socket: &Socket, transmits: &[Transmit<'_>]) -> io::Result<usize> {
    let Some(transmit) = transmits.first() else { return Ok(0) };
    if transmit.contents.is_empty() {
        send_one(socket, transmit, &[])?;
    }
    let size = match transmit.segment_size {
        0 => transmit.contents.len().max(1),
        size => size,
    };
    transmit.contents.chunks(size).try_for_each(|payload| send_one(socket, transmit, payload))?;
    Ok(1)
}

fn send_one(socket: &Socket, transmit: &Transmit<'_>, payload: &[u8]) -> io::Result<()> {
    let flags = libc::MSG_DONTWAIT;
    match transmit.destination {
        Some(peer) => socket.send_to_with_flags(payload, peer, flags)?,
        None => socket.send_with_flags(payload, flags)?,
    };
    Ok(())
}

fn unnamed() -> io::Result<SockAddr> {
    SockAddr::unix("")
}

fn address(any: SocketAddrAny) -> io::Result<SockAddr> {
    if let Ok(inet) = SocketAddr::try_from(any.clone()) {
        return Ok(inet.into());
    }
    let Ok(unix) = SocketAddrUnix::try_from(any) else { return unnamed() };
    match unix.path_bytes() {
        Some(path) => SockAddr::unix(std::ffi::OsStr::from_bytes(path)),
        None => abstract_address(&unix),
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(unix: &SocketAddrUnix) -> io::Result<SockAddr> {
    let name = [b"\0", unix.abstract_name().unwrap_or_default()].concat();
    SockAddr::unix(std::ffi::OsStr::from_bytes(if name.len() > 1 { &name } else { b"" }))
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &SocketAddrUnix) -> io::Result<SockAddr> {
    unnamed()
}
