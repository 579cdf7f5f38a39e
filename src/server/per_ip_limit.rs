//! The limit of concurrent connections from one address (`--max-conns-per-ip`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

/// Bits of an IPv6 address that are counted together: a customer is assigned at least one such
/// prefix, and could otherwise use any number of addresses (RFC 6177 §2).
const IPV6_PREFIX: u8 = 64;

/// The network whose connections are counted together: an IPv4 address, or a /64 of IPv6.
fn counted_network(ip: IpAddr) -> IpNet {
    let address = IpNet::from(ip.to_canonical());
    match address {
        IpNet::V4(_) => address,
        IpNet::V6(_) => IpNet::new(address.addr(), IPV6_PREFIX).map_or(address, |net| net.trunc()),
    }
}

/// Counts the connections of each IPv4 address and each /64 of IPv6.
#[derive(Debug, Clone)]
pub struct PerIpLimit {
    max: u32,
    counts: Arc<Mutex<HashMap<IpNet, u32>>>,
}

/// One counted connection; it is uncounted when this is dropped.
#[derive(Debug)]
pub struct PerIpPermit {
    net: IpNet,
    counts: Arc<Mutex<HashMap<IpNet, u32>>>,
}

impl PerIpLimit {
    /// A limit of `max` connections per address.
    pub fn new(max: u32) -> PerIpLimit {
        PerIpLimit { max, counts: Arc::default() }
    }

    /// Counts one more connection from `ip`.
    ///
    /// Fails with the reason when the limit is reached.
    pub fn acquire(&self, ip: IpAddr) -> Result<PerIpPermit, String> {
        let net = counted_network(ip);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(net).or_insert(0);
        if *count >= self.max {
            return Err(match net {
                IpNet::V4(_) => format!("its address has reached the limit of {}", self.max),
                IpNet::V6(_) => format!("its network {net} has reached the limit of {}", self.max),
            });
        }
        *count += 1;
        Ok(PerIpPermit { net, counts: self.counts.clone() })
    }
}

impl Drop for PerIpPermit {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.net) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.net)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rng::TestRng;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn dropped_permit_is_available_again() {
        let limit = PerIpLimit::new(1);
        let ip = "127.0.0.1".parse().unwrap();
        let first = limit.acquire(ip).unwrap();
        assert!(limit.acquire("::ffff:127.0.0.1".parse().unwrap()).is_err());
        drop(first);
        assert!(limit.acquire(ip).is_ok());
    }

    #[test]
    fn ipv6_network_of_64_bits_counts_as_one_address() {
        let limit = PerIpLimit::new(1);
        let acquire = |ip: &str| limit.acquire(ip.parse().unwrap());
        let _first = acquire("2001:db8:0:1::1").unwrap();
        let full = acquire("2001:db8:0:1:ffff::2").unwrap_err();
        assert!(full.contains("2001:db8:0:1::/64"), "{full}");
        let _next_network = acquire("2001:db8:0:2::1").unwrap();
        let _v4 = acquire("192.0.2.1").unwrap();
        let _next_v4 = acquire("::ffff:192.0.2.2").unwrap();
    }

    /// Connections open and close concurrently: never more than the limit, and no count is left.
    #[test]
    fn concurrent_permits_never_exceed_the_limit_and_all_return() {
        const MAX: u32 = 3;
        let mut rng = TestRng::new();
        let (limit, open) = (PerIpLimit::new(MAX), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                let (limit, open, mut rng) = (&limit, &open, rng.split());
                scope.spawn(move || {
                    for _ in 0..1000 {
                        let Ok(permit) = limit.acquire([127, 0, 0, 1].into()) else { continue };
                        assert!(open.fetch_add(1, Ordering::SeqCst) < MAX);
                        rng.random_pause();
                        open.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert!(limit.counts.lock().unwrap().is_empty());
    }
}
