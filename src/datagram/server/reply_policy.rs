//! Decides which datagrams are not answered, to prevent reply loops and amplification.

use std::net::{IpAddr, UdpSocket};
use std::time::Instant;

use super::rate_limit::RateLimiter;
use crate::net::address::Address;

/// Ports of services that answer everything: echo, daytime, qotd, chargen, time (RFC 862 to 868).
const REFLECTOR_PORTS: [u16; 5] = [7, 13, 17, 19, 37];

/// Why a datagram is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Its source port belongs to a service that would answer the reply, in an endless loop.
    ReflectorPort,
    /// Its source is the server itself.
    OwnAddress,
    /// Its source has had so many replies in this second.
    RateLimited(u32),
    /// Its source cannot receive a reply: port 0, or a Unix socket without a name.
    NoReturnAddress,
}

impl DropReason {
    /// The word of the `dropped` counts, for the trace.
    pub fn name(self) -> &'static str {
        match self {
            DropReason::ReflectorPort => "port",
            DropReason::OwnAddress => "itself",
            DropReason::RateLimited(_) => "rate",
            DropReason::NoReturnAddress => "nowhere",
        }
    }
}

/// How many datagrams of a group are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// The number of datagrams to answer.
    pub admitted: u64,
    /// Why the others are not answered, if any.
    pub dropped: Option<DropReason>,
}

/// Decides which datagrams are answered, in constant time for each.
#[derive(Debug)]
pub struct ReplyPolicy {
    local: Address,
    limiter: Option<RateLimiter>,
    /// The last source tested for being a local address, and the result.
    tested: Option<(IpAddr, bool)>,
}

impl ReplyPolicy {
    /// The policy of a socket bound to `local`, with at most `per_second` replies to each source
    /// (0 = no limit).
    pub fn new(local: Address, per_second: u32) -> ReplyPolicy {
        ReplyPolicy { local, limiter: RateLimiter::new(per_second), tested: None }
    }

    /// How many of `count` datagrams from `peer` are answered at `now`.
    pub fn admit(&mut self, peer: &Address, count: u64, now: Instant) -> Admission {
        if let Some(reason) = self.rejects(peer) {
            return Admission { admitted: 0, dropped: Some(reason) };
        }
        let Some(limiter) = &mut self.limiter else {
            return Admission { admitted: count, dropped: None };
        };
        let admitted = match peer.ip() {
            Some(ip) => limiter.admit(&ip, count, now),
            None => limiter.admit(peer, count, now),
        };
        let limited = DropReason::RateLimited(limiter.per_second);
        Admission { admitted, dropped: (admitted < count).then_some(limited) }
    }

    fn rejects(&mut self, peer: &Address) -> Option<DropReason> {
        match peer {
            Address::Unnamed => Some(DropReason::NoReturnAddress),
            Address::Inet(peer) if peer.port() == 0 => Some(DropReason::NoReturnAddress),
            Address::Inet(peer) if REFLECTOR_PORTS.contains(&peer.port()) => {
                Some(DropReason::ReflectorPort)
            }
            peer => self.is_own(peer).then_some(DropReason::OwnAddress),
        }
    }

    fn is_own(&mut self, peer: &Address) -> bool {
        let (&Address::Inet(local), &Address::Inet(peer)) = (&self.local, peer) else {
            return self.local == *peer;
        };
        let is_any = local.ip().is_unspecified();
        local.port() == peer.port()
            && (local.ip() == peer.ip() || is_any && self.is_local(peer.ip()))
    }

    /// Whether an address belongs to this machine: only such an address can be bound.
    fn is_local(&mut self, ip: IpAddr) -> bool {
        match self.tested {
            _ if ip.is_loopback() => true,
            Some((tested, result)) if tested == ip => result,
            _ => {
                let result = UdpSocket::bind((ip, 0)).is_ok();
                self.tested = Some((ip, result));
                result
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn dropped(local: &str, peer: &str) -> Option<DropReason> {
        let address = |text: &str| Address::from(text.parse::<SocketAddr>().unwrap());
        ReplyPolicy::new(address(local), 0).admit(&address(peer), 1, Instant::now()).dropped
    }

    #[test]
    fn reflector_ports_are_never_answered() {
        for port in [7, 13, 17, 19, 37] {
            let peer = format!("192.0.2.1:{port}");
            assert_eq!(dropped("127.0.0.1:9999", &peer), Some(DropReason::ReflectorPort));
        }
        assert_eq!(dropped("127.0.0.1:9999", "192.0.2.1:0"), Some(DropReason::NoReturnAddress));
        assert_eq!(dropped("127.0.0.1:9999", "192.0.2.1:53"), None);
    }

    #[test]
    fn own_address_is_never_answered() {
        assert_eq!(dropped("127.0.0.1:9999", "127.0.0.1:9999"), Some(DropReason::OwnAddress));
        assert_eq!(dropped("127.0.0.1:9999", "127.0.0.2:9999"), None);
        assert_eq!(dropped("[::]:9999", "127.0.0.2:9999"), Some(DropReason::OwnAddress));
        assert_eq!(dropped("[::]:9999", "[::1]:9999"), Some(DropReason::OwnAddress));
        assert_eq!(dropped("0.0.0.0:9999", "192.0.2.1:9999"), None);
    }

    #[test]
    fn unnamed_unix_peer_is_never_answered() {
        let mut policy = ReplyPolicy::new(Address::Unix("/tmp/a".into()), 1);
        let mut admit = |peer, count| policy.admit(&peer, count, Instant::now());
        let admission = |admitted, reason| Admission { admitted, dropped: Some(reason) };
        assert_eq!(admit(Address::Unnamed, 1), admission(0, DropReason::NoReturnAddress));
        let own = Address::Unix("/tmp/a".into());
        assert_eq!(admit(own, 1), admission(0, DropReason::OwnAddress));
        let other = Address::Unix("/tmp/b".into());
        assert_eq!(admit(other, 2), admission(1, DropReason::RateLimited(1)));
    }
}
