//! Metadata of a received datagram, and a datagram to be sent.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use socket2::SockAddr;

use crate::net::address::Address;

/// The local address that a datagram was sent to, or that one is to be sent from.
///
/// A client that wrote to one address discards a reply from another (ip(7), `IP_PKTINFO`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LocalSource {
    /// The local address; `None` leaves the choice to the kernel.
    pub address: Option<IpAddr>,
    /// The interface index where the address is ambiguous without one (link-local IPv6), else 0.
    pub interface: u32,
}

/// Metadata of a received datagram, or of several of one sender that the kernel merged.
#[derive(Debug, Clone)]
pub struct RecvMeta {
    /// The sender.
    pub peer: SockAddr,
    /// The local address it was sent to.
    pub local: LocalSource,
    /// Longer than the slot; the rest is lost (recvmsg(2), `MSG_TRUNC`).
    pub truncated: bool,
    /// Bytes received.
    pub len: usize,
    /// Length of each payload, of which the last may be shorter; 0 = only one (udp(7), `UDP_GRO`).
    pub segment_size: usize,
}

impl RecvMeta {
    /// The local address it was sent to, if the socket is bound to `bound`.
    pub fn local_address(&self, bound: &Address) -> Address {
        match (bound, self.local.address) {
            (Address::Inet(bound), Some(ip)) => SocketAddr::new(ip, bound.port()).into(),
            _ => bound.clone(),
        }
    }
}

/// One datagram to send, or several of one length to one peer.
#[derive(Debug, Clone)]
pub struct Transmit<'a> {
    /// The receiver; `None` on a connected socket.
    pub destination: Option<&'a SockAddr>,
    /// The local address to send from.
    pub source: LocalSource,
    /// The payload, or several concatenated.
    pub contents: Cow<'a, [u8]>,
    /// Length of each payload, of which the last may be shorter; 0 = `contents` is one payload.
    pub segment_size: usize,
}

impl<'a> Transmit<'a> {
    /// A reply to the datagram that `meta` describes, from the address it was sent to.
    pub fn reply(meta: &'a RecvMeta, contents: impl Into<Cow<'a, [u8]>>) -> Transmit<'a> {
        let contents = contents.into();
        Transmit { destination: Some(&meta.peer), source: meta.local, contents, segment_size: 0 }
    }

    /// The number of datagrams.
    pub fn count(&self) -> u64 {
        payloads(&self.contents, self.segment_size).count() as u64
    }

    /// Each payload.
    pub fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        payloads(&self.contents, self.segment_size)
    }
}

/// Splits `bytes` at every `segment_size` bytes, or not at all if it is 0. No bytes are one payload.
pub(super) fn payloads(bytes: &[u8], segment_size: usize) -> impl Iterator<Item = &[u8]> {
    let size = if segment_size == 0 { bytes.len().max(1) } else { segment_size };
    bytes.chunks(size).chain(bytes.is_empty().then_some(bytes))
}
