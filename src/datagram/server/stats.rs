//! Counters of a datagram server.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use super::exec::ExecStats;
use super::reply_policy::DropReason;
use crate::net::address::Address;
use crate::report::datagram_stats::{Dropped, Totals};

/// Peers that are counted; more are reported as this number.
const MAX_PEERS: usize = 1 << 16;

/// The counters of one run.
#[derive(Debug)]
pub struct ServerStats {
    /// The counters; the number of peers and the time are set at the end.
    totals: Totals,
    started: Instant,
    /// Hashes of the addresses.
    peers: HashSet<u64>,
    last_peer: Option<Address>,
    hasher: RandomState,
}

impl ServerStats {
    /// Counters at zero of a server bound to `local`; the run begins now.
    pub fn new(local: &Address) -> ServerStats {
        ServerStats {
            totals: Totals { local: local.to_string(), ..Totals::default() },
            started: Instant::now(),
            peers: HashSet::new(),
            last_peer: None,
            hasher: RandomState::new(),
        }
    }

    /// Datagrams that were not answered or not served, by reason.
    pub fn dropped_mut(&mut self) -> &mut Dropped {
        &mut self.totals.dropped
    }

    /// Counts `count` datagrams from `peer`, of `bytes` together.
    pub fn received(&mut self, peer: &Address, count: u32, bytes: usize) {
        self.totals.datagrams_in += u64::from(count);
        self.totals.bytes_in += bytes as u64;
        if self.last_peer.as_ref() != Some(peer) {
            if self.peers.len() < MAX_PEERS {
                self.peers.insert(self.hasher.hash_one(peer));
            }
            self.last_peer = Some(peer.clone());
        }
    }

    /// Counts datagrams that are being sent.
    pub fn sent(&mut self, count: u32, bytes: usize) {
        self.totals.datagrams_out += u64::from(count);
        self.totals.bytes_out += bytes as u64;
    }

    /// Takes back datagrams that were counted as sent and could not be.
    pub fn send_failed(&mut self, count: u32, bytes: usize) {
        self.totals.datagrams_out -= u64::from(count);
        self.totals.bytes_out -= bytes as u64;
        self.totals.dropped.unsent += u64::from(count);
    }

    /// Counts datagrams that are not answered.
    pub fn dropped(&mut self, reason: DropReason, count: u32) {
        let counter = match reason {
            DropReason::ReflectorPort => &mut self.totals.dropped.port,
            DropReason::OwnAddress => &mut self.totals.dropped.itself,
            DropReason::RateLimited => &mut self.totals.dropped.rate,
            DropReason::NoReturnAddress => &mut self.totals.dropped.nowhere,
        };
        *counter += u64::from(count);
    }

    /// Adds the counters of the programs.
    pub fn add_exec(&mut self, exec: ExecStats) {
        self.totals.dropped.unsent += u64::from(exec.unsent);
        self.totals.dropped.busy += u64::from(exec.busy);
        self.totals.dropped.failed += u64::from(exec.failed);
        self.sent(exec.sent, exec.bytes);
    }

    /// The number of datagrams received.
    pub fn datagrams_in(&self) -> u64 {
        self.totals.datagrams_in
    }

    /// The totals so far.
    pub fn totals(&self) -> Totals {
        let (peers, seconds) = (self.peers.len() as u64, self.started.elapsed().as_secs_f64());
        Totals { peers, seconds, ..self.totals.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn interleaved_peers_are_counted_once() {
        let peer = |port| Address::from(SocketAddr::from(([127, 0, 0, 1], port)));
        let mut stats = ServerStats::new(&peer(9));
        for port in [1, 2, 1, 2, 2, 3] {
            stats.received(&peer(port), 1, 10);
        }
        let totals = stats.totals();
        assert_eq!((totals.peers, totals.datagrams_in, totals.bytes_in), (3, 6, 60));
    }
}
