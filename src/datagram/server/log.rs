//! What happens to the datagrams of a server: it is counted for the totals and logged. A warning of
//! one kind is printed once per run.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::mem;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::exec::ExecShutdown;
use super::handler::Handler;
use super::incoming::Incoming;
use super::reply_policy::DropReason;
use crate::datagram::{DatagramSocket, Transmit};
use crate::error::message_without_errno;
use crate::net::address::Address;
use crate::report::Report;
use crate::report::event::datagram::{Dropped, Totals};
use crate::report::event::{Event, Level};
use crate::report::excerpt::Excerpt;
use crate::transfer::tap::TapDirection;

/// Peers that are counted; more are reported as this number.
const MAX_PEERS: usize = 1 << 16;

/// Counts and logs what one server does.
pub struct ServerLog<'a> {
    report: &'a Report,
    socket: &'a DatagramSocket,
    /// The number of datagrams received.
    pub datagrams_in: u64,
    /// Their payload, in bytes.
    bytes_in: u64,
    dropped: Dropped,
    /// Whether each datagram is logged or dumped.
    shows_datagrams: bool,
    started: Instant,
    /// Hashes of the addresses.
    peers: HashSet<u64>,
    last_peer: Option<Address>,
    hasher: RandomState,
    rate_warned: bool,
    delay_warned: bool,
}

impl<'a> ServerLog<'a> {
    /// The log of a server on `socket`; the run begins now.
    pub fn new(report: &'a Report, socket: &'a DatagramSocket) -> ServerLog<'a> {
        ServerLog {
            report,
            socket,
            datagrams_in: 0,
            bytes_in: 0,
            dropped: Dropped::default(),
            shows_datagrams: report.is_enabled(Level::Detail) || socket.dump.is_some(),
            started: Instant::now(),
            peers: HashSet::new(),
            last_peer: None,
            hasher: RandomState::new(),
            rate_warned: false,
            delay_warned: false,
        }
    }

    /// The server is ready. Warns if other hosts reach it, and replies may be longer than datagrams.
    pub fn started(&self, handler: &Handler) {
        let local = &self.socket.local;
        self.report.emit(&Event::Listening { local: local.to_string(), awaited: "datagrams" });
        if handler.amplifies() && local.ip().is_some_and(|ip| !ip.is_loopback()) {
            let why = "replies are also sent to forged source addresses; --max-rate limits them";
            self.report.warn(None, why);
        }
    }

    /// Datagrams were received.
    pub fn received(&mut self, incoming: &Incoming<'_>) {
        self.datagrams_in += incoming.group.count();
        self.bytes_in += incoming.group.bytes.len() as u64;
        self.count_peer(&incoming.peer);
        if self.shows_datagrams {
            self.show(incoming);
        }
    }

    fn show(&self, Incoming { group, peer, .. }: &Incoming<'_>) {
        let local = group.meta.local_address(&self.socket.local);
        for payload in group.datagrams() {
            if self.report.is_enabled(Level::Detail) {
                let (local, peer) = (local.to_string(), peer.to_string());
                let data = self.report.shows_traffic().then(|| Excerpt::of(payload));
                self.report.emit(&Event::Datagram { local, peer, bytes: payload.len(), data });
            }
            if let Some(dump) = &self.socket.dump {
                dump.datagram(TapDirection::Received, peer, payload);
            }
        }
    }

    fn count_peer(&mut self, peer: &Address) {
        if self.last_peer.as_ref() != Some(peer) {
            if self.peers.len() < MAX_PEERS {
                self.peers.insert(self.hasher.hash_one(peer));
            }
            self.last_peer = Some(peer.clone());
        }
    }

    /// A datagram was longer than its slot.
    pub fn truncated(&mut self, peer: &Address) {
        self.dropped.cut += 1;
        self.report.step(|| format!("Dropped a datagram from {peer}: longer than the buffer"));
    }

    /// `count` datagrams of `peer` are not answered.
    pub fn not_answered(&mut self, reason: DropReason, count: u64, peer: &Address) {
        let dropped = &mut self.dropped;
        let (counter, why) = match reason {
            DropReason::ReflectorPort => {
                (&mut dropped.port, "its port belongs to a service that answers everything")
            }
            DropReason::OwnAddress => (&mut dropped.itself, "it is the address of this server"),
            DropReason::NoReturnAddress => (&mut dropped.nowhere, "it has no address to reply to"),
            DropReason::RateLimited(per_second) => {
                dropped.rate += count;
                return self.rate_limited(peer, per_second);
            }
        };
        *counter += count;
        self.report.step(|| format!("Not answering {peer}: {why}"));
    }

    fn rate_limited(&mut self, peer: &Address, per_second: u32) {
        if !mem::replace(&mut self.rate_warned, true) {
            let source = peer.ip().map_or_else(|| peer.to_string(), |ip| ip.to_string());
            let limit = format!("at most {per_second} times a second (--max-rate)");
            self.report.warn(None, format!("{source} is answered {limit}"));
        }
    }

    /// `count` datagrams found no room in the queue of `--delay`.
    pub fn delay_queue_full(&mut self, count: u64) {
        self.dropped.busy += count;
        if !mem::replace(&mut self.delay_warned, true) {
            let why = "too many replies are delayed (--delay); further datagrams are not answered";
            self.report.warn(None, why);
        }
    }

    /// A reply could not be sent.
    pub fn send_failed(&mut self, reply: &Transmit<'_>, error: &io::Error) {
        self.dropped.unsent += reply.count();
        self.report.step(|| {
            let peer = reply.destination.map_or(Address::Unnamed, Address::from);
            format!("Answering {peer} failed: {}", message_without_errno(error))
        });
    }

    /// ICMP errors may have arrived for replies.
    pub fn icmp_errors(&mut self) {
        for error in self.socket.icmp_errors.take() {
            self.dropped.refused += 1;
            self.report.step(|| {
                let why = message_without_errno(&io::Error::from_raw_os_error(error.errno));
                format!("Reply to {} was rejected: {why}", error.peer)
            });
        }
    }

    /// Receiving fails; it is tried again.
    pub fn receive_failed(&self, error: &io::Error) {
        let (local, why) = (&self.socket.local, message_without_errno(error));
        self.report.warn(None, format!("receiving on {local} failed, retrying: {why}"));
    }

    /// Bytes that were not written to stdout before the end.
    pub fn unwritten(&self, bytes: usize) {
        if bytes > 0 {
            let why = format!("{bytes} bytes for stdout are lost: its reader does not read");
            self.report.warn(None, why);
        }
    }

    /// The server has ended.
    pub fn totals(&self) {
        self.report.emit(&Event::Totals(Totals {
            local: self.socket.local.to_string(),
            datagrams_in: self.datagrams_in,
            bytes_in: self.bytes_in,
            datagrams_out: self.socket.datagrams_sent.load(Ordering::Relaxed),
            bytes_out: self.socket.bytes_sent.load(Ordering::Relaxed),
            peers: self.peers.len() as u64,
            dropped: self.dropped,
            seconds: self.started.elapsed().as_secs_f64(),
        }));
    }

    /// The programs have ended, or were killed.
    pub fn programs_closed(&mut self, programs: &ExecShutdown) {
        self.dropped.unsent += programs.dropped.unsent;
        self.dropped.busy += programs.dropped.busy;
        self.dropped.failed += programs.dropped.failed;
        if programs.killed > 0 {
            let why = format!("{} programs were still running and were killed", programs.killed);
            self.report.warn(None, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::RecvBuffer;
    use crate::test_run::TestRun;
    use std::net::{SocketAddr, UdpSocket};

    #[test]
    fn interleaved_peers_are_counted_once() {
        let (test, bound) = (TestRun::new(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let socket = DatagramSocket::for_client(bound.into(), RecvBuffer::Keep, &test.context);
        let socket = socket.unwrap();
        let peer = |port| Address::from(SocketAddr::from(([127, 0, 0, 1], port)));
        let mut log = ServerLog::new(&test.context.report, &socket);
        for port in [1, 2, 1, 2, 2, 3] {
            log.count_peer(&peer(port));
        }
        assert_eq!(log.peers.len(), 3);
    }
}
