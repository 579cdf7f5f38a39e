//! Whom a server of datagrams does not answer, so that no forged one can set it talking for ever.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Instant;

use super::rate_limit::RateLimiter;
use crate::net::address::Address;

/// Ports whose services answer anything: echo, daytime, qotd, chargen, time (RFC 862 to 868).
const REFLECTOR_PORTS: [u16; 5] = [7, 13, 17, 19, 37];

/// Why a datagram stays without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// It came from a port whose service would answer our answer for ever.
    ReflectorPort,
    /// It claims to come from ourselves.
    OwnAddress,
    /// Its source has had its answers for this second.
    RateLimited,
    /// It has no address that could be answered: port 0, or a Unix socket without a name.
    NoReturnAddress,
}

/// Decides which datagrams may be answered, in constant time for each.
#[derive(Debug)]
pub struct ReplyPolicy {
    local: Address,
    limiter: Option<RateLimiter>,
    /// The last address that was tested for being ours, and the result.
    tested: Option<(IpAddr, bool)>,
}

impl ReplyPolicy {
    /// For a socket bound to `local`; each source is answered at most `per_second` times a second
    /// (0: without limit).
    pub fn new(local: Address, per_second: u32) -> ReplyPolicy {
        ReplyPolicy { local, limiter: RateLimiter::new(per_second), tested: None }
    }

    /// The limit for one source, in answers a second, if there is one.
    pub fn per_second(&self) -> Option<u32> {
        self.limiter.as_ref().map(RateLimiter::per_second)
    }

    /// How many of `count` datagrams from `peer` may be answered at `now`; when fewer than all,
    /// the reason is told beside.
    pub fn admit(&mut self, peer: &Address, count: u32, now: Instant) -> (u32, Option<DropReason>) {
        if let Some(silence) = self.never(peer) {
            return (0, Some(silence));
        }
        let Some(limiter) = &mut self.limiter else { return (count, None) };
        let admitted = match peer.ip() {
            Some(ip) => limiter.admit(&ip, count, now),
            None => limiter.admit(peer, count, now),
        };
        (admitted, (admitted < count).then_some(DropReason::RateLimited))
    }

    fn never(&mut self, peer: &Address) -> Option<DropReason> {
        match peer {
            Address::Unnamed => Some(DropReason::NoReturnAddress),
            Address::Inet(peer) if peer.port() == 0 => Some(DropReason::NoReturnAddress),
            Address::Inet(peer) if REFLECTOR_PORTS.contains(&peer.port()) => {
                Some(DropReason::ReflectorPort)
            }
            Address::Inet(peer) => self.is_us(*peer).then_some(DropReason::OwnAddress),
            named => (*named == self.local).then_some(DropReason::OwnAddress),
        }
    }

    fn is_us(&mut self, peer: SocketAddr) -> bool {
        match self.local.inet() {
            Some(local) if local.port() != peer.port() => false,
            Some(local) if local.ip().is_unspecified() => self.is_of_this_machine(peer.ip()),
            Some(local) => local.ip() == peer.ip(),
            None => false,
        }
    }

    /// Only an address of this machine can be bound to.
    fn is_of_this_machine(&mut self, ip: IpAddr) -> bool {
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

    fn verdict(local: &str, peer: &str) -> Option<DropReason> {
        let address = |text: &str| Address::from(text.parse::<SocketAddr>().unwrap());
        ReplyPolicy::new(address(local), 0).admit(&address(peer), 1, Instant::now()).1
    }

    #[test]
    fn talkative_ports_are_never_answered() {
        for port in [7, 13, 17, 19, 37] {
            let peer = format!("192.0.2.1:{port}");
            assert_eq!(verdict("127.0.0.1:9999", &peer), Some(DropReason::ReflectorPort));
        }
        assert_eq!(verdict("127.0.0.1:9999", "192.0.2.1:0"), Some(DropReason::NoReturnAddress));
        assert_eq!(verdict("127.0.0.1:9999", "192.0.2.1:53"), None);
    }

    #[test]
    fn we_do_not_answer_ourselves_under_any_of_our_addresses() {
        assert_eq!(verdict("127.0.0.1:9999", "127.0.0.1:9999"), Some(DropReason::OwnAddress));
        assert_eq!(verdict("127.0.0.1:9999", "127.0.0.2:9999"), None);
        assert_eq!(verdict("[::]:9999", "127.0.0.2:9999"), Some(DropReason::OwnAddress));
        assert_eq!(verdict("[::]:9999", "[::1]:9999"), Some(DropReason::OwnAddress));
        assert_eq!(verdict("0.0.0.0:9999", "192.0.2.1:9999"), None);
    }

    #[test]
    fn a_unix_peer_without_a_name_cannot_be_answered() {
        let mut guard = ReplyPolicy::new(Address::Unix("/tmp/a".into()), 1);
        let now = Instant::now();
        assert_eq!(guard.admit(&Address::Unnamed, 1, now), (0, Some(DropReason::NoReturnAddress)));
        assert_eq!(
            guard.admit(&Address::Unix("/tmp/a".into()), 1, now).1,
            Some(DropReason::OwnAddress)
        );
        assert_eq!(
            guard.admit(&Address::Unix("/tmp/b".into()), 2, now),
            (1, Some(DropReason::RateLimited))
        );
    }
}
