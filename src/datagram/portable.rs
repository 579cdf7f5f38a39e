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
use super::recv_batch::RecvBatch;

/// Receives one datagram into the first slot of `batch`; an empty queue is `WouldBlock`.
pub fn receive(socket: &Socket, batch: &mut RecvBatch) -> io::Result<usize> {
    let mut control = RecvAncillaryBuffer::default();
    let mut slot = [IoSliceMut::new(&mut batch.bytes[..batch.slot_size])];
    let received = recvmsg(socket, &mut slot, &mut control, RecvFlags::DONTWAIT)?;
    let peer = received.address.map_or_else(unnamed, address)?;
    let (local, truncated) = (LocalSource::default(), received.flags.contains(ReturnFlags::TRUNC));
    let len = received.bytes;
    batch.filled.push(RecvMeta { peer, local, truncated, len, segment_size: 0 });
    Ok(1)
}

/// Sends the first of `transmits` and returns 1. Several payloads of one transmit may be sent in
/// part when it fails.
pub fn send(socket: &Socket, transmits: &[Transmit<'_>]) -> io::Result<usize> {
    let Some(transmit) = transmits.first() else { return Ok(0) };
    transmit.payloads().try_for_each(|payload| send_one(socket, transmit, payload))?;
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
