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
    started: Instant,
    datagrams_in: u64,
    bytes_in: u64,
    datagrams_out: u64,
    bytes_out: u64,
    /// Hashes of the addresses.
    peers: HashSet<u64>,
    last_peer: Option<Address>,
    hasher: RandomState,
    /// Datagrams that were not answered or not served, by reason.
    pub dropped: Dropped,
}

impl ServerStats {
    /// Counters at zero; the run begins now.
    pub fn new() -> ServerStats {
        ServerStats {
            started: Instant::now(),
            datagrams_in: 0,
            bytes_in: 0,
            datagrams_out: 0,
            bytes_out: 0,
            peers: HashSet::new(),
            last_peer: None,
            hasher: RandomState::new(),
            dropped: Dropped::default(),
        }
    }

    /// Counts `count` datagrams from `peer`, of `bytes` together.
    pub fn received(&mut self, peer: &Address, count: u32, bytes: usize) {
        self.datagrams_in += u64::from(count);
        self.bytes_in += bytes as u64;
        if self.last_peer.as_ref() != Some(peer) {
            if self.peers.len() < MAX_PEERS {
                self.peers.insert(self.hasher.hash_one(peer));
            }
            self.last_peer = Some(peer.clone());
        }
    }

    /// Counts datagrams that are being sent.
    pub fn sent(&mut self, count: u32, bytes: usize) {
        self.datagrams_out += u64::from(count);
        self.bytes_out += bytes as u64;
    }

    /// Takes back datagrams that were counted as sent and could not be.
    pub fn send_failed(&mut self, count: u32, bytes: usize) {
        self.datagrams_out -= u64::from(count);
        self.bytes_out -= bytes as u64;
        self.dropped.unsent += u64::from(count);
    }

    /// Counts datagrams that are not answered.
    pub fn dropped(&mut self, reason: DropReason, count: u32) {
        let counter = match reason {
            DropReason::ReflectorPort => &mut self.dropped.port,
            DropReason::OwnAddress => &mut self.dropped.itself,
            DropReason::RateLimited => &mut self.dropped.rate,
            DropReason::NoReturnAddress => &mut self.dropped.nowhere,
        };
        *counter += u64::from(count);
    }

    /// Adds the counters of the programs.
    pub fn add_exec(&mut self, exec: ExecStats) {
        self.dropped.unsent += u64::from(exec.unsent);
        self.dropped.busy += u64::from(exec.busy);
        self.dropped.failed += u64::from(exec.failed);
        self.sent(exec.sent, exec.bytes);
    }

    /// The number of datagrams received.
    pub fn datagrams_in(&self) -> u64 {
        self.datagrams_in
    }

    /// The totals of a server bound to `local`, for the report.
    pub fn totals(&self, local: &Address) -> Totals {
        Totals {
            local: local.to_string(),
            datagrams_in: self.datagrams_in,
            bytes_in: self.bytes_in,
            datagrams_out: self.datagrams_out,
            bytes_out: self.bytes_out,
            peers: self.peers.len() as u64,
            dropped: self.dropped,
            seconds: self.started.elapsed().as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn interleaved_peers_are_counted_once() {
        let mut stats = ServerStats::new();
        let peer = |port| Address::from(SocketAddr::from(([127, 0, 0, 1], port)));
        for port in [1, 2, 1, 2, 2, 3] {
            stats.received(&peer(port), 1, 10);
        }
        let totals = stats.totals(&peer(9));
        assert_eq!((totals.peers, totals.datagrams_in, totals.bytes_in), (3, 6, 60));
    }
}
