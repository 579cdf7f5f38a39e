//! Counting what a server of datagrams did.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use super::exec::ExecStats;
use crate::datagram::server::reply_policy::DropReason;
use crate::net::address::Address;
use crate::report::datagram_stats::{Dropped, Totals};

/// Peers told apart; with more of them the total says no more than that.
const MOST_PEERS: usize = 1 << 16;

/// The sums so far.
#[derive(Debug)]
pub struct ServerStats {
    began: Instant,
    datagrams_in: u64,
    bytes_in: u64,
    datagrams_out: u64,
    bytes_out: u64,
    peers: HashSet<u64>,
    last_peer: Option<Address>,
    seed: RandomState,
    /// What was not answered, or not even taken, and why.
    pub dropped: Dropped,
}

impl ServerStats {
    /// Nothing yet.
    pub fn new() -> ServerStats {
        ServerStats {
            began: Instant::now(),
            datagrams_in: 0,
            bytes_in: 0,
            datagrams_out: 0,
            bytes_out: 0,
            peers: HashSet::new(),
            last_peer: None,
            seed: RandomState::new(),
            dropped: Dropped::default(),
        }
    }

    /// `count` datagrams of `bytes` together came from `peer`.
    pub fn received(&mut self, peer: &Address, count: u32, bytes: usize) {
        self.datagrams_in += u64::from(count);
        self.bytes_in += bytes as u64;
        if self.last_peer.as_ref() != Some(peer) {
            if self.peers.len() < MOST_PEERS {
                self.peers.insert(self.seed.hash_one(peer));
            }
            self.last_peer = Some(peer.clone());
        }
    }

    /// So many went out.
    pub fn sent(&mut self, count: u32, bytes: usize) {
        self.datagrams_out += u64::from(count);
        self.bytes_out += bytes as u64;
    }

    /// So many were thought to have gone out and did not.
    pub fn unsent(&mut self, count: u32, bytes: usize) {
        self.datagrams_out -= u64::from(count);
        self.bytes_out -= bytes as u64;
        self.dropped.unsent += u64::from(count);
    }

    /// So many were not answered.
    pub fn dropped(&mut self, silence: DropReason, count: u32) {
        let counter = match silence {
            DropReason::ReflectorPort => &mut self.dropped.port,
            DropReason::OwnAddress => &mut self.dropped.itself,
            DropReason::RateLimited => &mut self.dropped.rate,
            DropReason::NoReturnAddress => &mut self.dropped.nowhere,
        };
        *counter += u64::from(count);
    }

    /// What became of the datagrams that programs were to answer.
    pub fn by_programs(&mut self, sums: ExecStats) {
        self.dropped.unsent += u64::from(sums.unsent);
        self.dropped.busy += u64::from(sums.busy);
        self.dropped.failed += u64::from(sums.failed);
        self.sent(sums.sent, sums.bytes);
    }

    /// How many came.
    pub fn datagrams_in(&self) -> u64 {
        self.datagrams_in
    }

    /// The sums, to be told.
    pub fn totals(&self, local: &Address) -> Totals {
        Totals {
            local: local.to_string(),
            datagrams_in: self.datagrams_in,
            bytes_in: self.bytes_in,
            datagrams_out: self.datagrams_out,
            bytes_out: self.bytes_out,
            peers: self.peers.len() as u64,
            dropped: self.dropped,
            seconds: self.began.elapsed().as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn peers_are_counted_once_however_they_interleave() {
        let mut tally = ServerStats::new();
        let peer = |port| Address::from(SocketAddr::from(([127, 0, 0, 1], port)));
        for port in [1, 2, 1, 2, 2, 3] {
            tally.received(&peer(port), 1, 10);
        }
        let totals = tally.totals(&peer(9));
        assert_eq!((totals.peers, totals.datagrams_in, totals.bytes_in), (3, 6, 60));
    }
}
