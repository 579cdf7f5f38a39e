//! The same without Linux's calls, and for kernels that refuse them: one datagram at a time, and
//! the kernel's choice of our address.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, ReturnFlags, SocketAddrAny, SocketAddrUnix, recvmsg,
};
use socket2::{SockAddr, Socket};

use super::message::{LocalSource, RecvMeta, Transmit};
use super::recv_batch::{RecvBatch, SlotMeta};

/// Puts the next datagram into the first slot of `batch`; an empty queue is `WouldBlock`.
pub fn receive(socket: &Socket, batch: &mut RecvBatch) -> io::Result<usize> {
    let (mut slots, facts) = batch.prepare();
    let Some(slot) = slots.next() else { return Ok(0) };
    let mut beside = RecvAncillaryBuffer::default();
    let mut pieces = [IoSliceMut::new(slot)];
    let got = recvmsg(socket, &mut pieces, &mut beside, RecvFlags::DONTWAIT)?;
    let peer = got.address.map_or_else(unnamed, address)?;
    let cut = got.flags.contains(ReturnFlags::TRUNC);
    let envelope = RecvMeta { peer, origin: LocalSource::default(), cut };
    facts.push(SlotMeta { envelope, length: got.bytes, segment: 0 });
    Ok(1)
}

/// Sends what is at the front of `letters`: 1, unless it comes apart and its end does not go.
pub fn send(socket: &Socket, letters: &[Transmit<'_>]) -> io::Result<usize> {
    let Some(letter) = letters.first() else { return Ok(0) };
    let step = if letter.segment == 0 { letter.bytes.len().max(1) } else { letter.segment };
    if letter.bytes.is_empty() {
        put(socket, letter, &[])?;
    }
    letter.bytes.chunks(step).try_for_each(|datagram| put(socket, letter, datagram))?;
    Ok(1)
}

fn put(socket: &Socket, letter: &Transmit<'_>, datagram: &[u8]) -> io::Result<()> {
    let flags = libc::MSG_DONTWAIT;
    match letter.peer {
        Some(peer) => socket.send_to_with_flags(datagram, peer, flags)?,
        None => socket.send_with_flags(datagram, flags)?,
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
        None => named_in_the_abstract(&unix),
    }
}

#[cfg(target_os = "linux")]
fn named_in_the_abstract(unix: &SocketAddrUnix) -> io::Result<SockAddr> {
    let name = [b"\0", unix.abstract_name().unwrap_or_default()].concat();
    SockAddr::unix(std::ffi::OsStr::from_bytes(if name.len() > 1 { &name } else { b"" }))
}

#[cfg(not(target_os = "linux"))]
fn named_in_the_abstract(_: &SocketAddrUnix) -> io::Result<SockAddr> {
    unnamed()
}
