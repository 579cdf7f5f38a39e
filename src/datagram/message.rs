//! Metadata of a received datagram, and a datagram to be sent.

use std::borrow::Cow;
use std::net::IpAddr;

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
    /// The address of the sender.
    pub fn peer_address(&self) -> Address {
        Address::from(&self.peer)
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
        Transmit { source: meta.local, ..Transmit::to(Some(&meta.peer), contents) }
    }

    /// One datagram to `destination`, or to the peer of a connected socket.
    pub fn to(
        destination: Option<&'a SockAddr>,
        contents: impl Into<Cow<'a, [u8]>>,
    ) -> Transmit<'a> {
        let source = LocalSource::default();
        Transmit { destination, source, contents: contents.into(), segment_size: 0 }
    }
}

impl Transmit<'_> {
    /// The number of datagrams.
    pub fn count(&self) -> u32 {
        self.payloads().count() as u32
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
