//! What stands on a datagram: from whom, to which of our addresses, and where an answer goes.

use std::borrow::Cow;
use std::net::IpAddr;

use socket2::SockAddr;

use crate::net::address::Address;

/// The address of ours that a datagram was sent to, from which an answer should leave: whoever
/// asked one address does not expect another to answer (ip(7), `IP_PKTINFO`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LocalSource {
    /// Our address; none leaves the choice to the kernel.
    pub address: Option<IpAddr>,
    /// The interface, where the address means nothing without one (link-local IPv6); else 0.
    pub interface: u32,
}

/// From whom a datagram came and how.
#[derive(Debug, Clone)]
pub struct RecvMeta {
    /// The sender, as the kernel names it.
    pub peer: SockAddr,
    /// Where it arrived.
    pub origin: LocalSource,
    /// It was longer than our room for it; the rest is lost (recvmsg(2), `MSG_TRUNC`).
    pub cut: bool,
}

impl RecvMeta {
    /// The sender.
    pub fn address(&self) -> Address {
        Address::from(&self.peer)
    }
}

/// Bytes to be sent: one datagram, or several of one length to one peer.
#[derive(Debug, Clone)]
pub struct Transmit<'a> {
    /// To whom; nobody is whom the socket is connected to.
    pub peer: Option<&'a SockAddr>,
    /// From where.
    pub origin: LocalSource,
    /// What.
    pub bytes: Cow<'a, [u8]>,
    /// Length of each datagram in `bytes`, the last of which may be shorter; 0 = `bytes` is one.
    pub segment: usize,
}

impl<'a> Transmit<'a> {
    /// An answer to whoever sent `envelope`, from the address it was sent to.
    pub fn answer(envelope: &'a RecvMeta, bytes: impl Into<Cow<'a, [u8]>>) -> Transmit<'a> {
        let (peer, origin) = (Some(&envelope.peer), envelope.origin);
        Transmit { peer, origin, bytes: bytes.into(), segment: 0 }
    }

    /// One datagram to `peer`, or to whom the socket is connected to.
    pub fn to(peer: Option<&'a SockAddr>, bytes: &'a [u8]) -> Transmit<'a> {
        Transmit { peer, origin: LocalSource::default(), bytes: bytes.into(), segment: 0 }
    }
}

impl Transmit<'_> {
    /// How many datagrams these bytes are.
    pub fn count(&self) -> u32 {
        match self.segment {
            0 => 1,
            segment => self.bytes.len().div_ceil(segment).max(1) as u32,
        }
    }
}

/// Somebody along the way did not take a datagram of ours, and said so by ICMP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IcmpError {
    /// To whom the datagram was sent.
    pub peer: Address,
    /// The system's number for the reason (`ECONNREFUSED`, `EHOSTUNREACH`, …).
    pub errno: i32,
}
