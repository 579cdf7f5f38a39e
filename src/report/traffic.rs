//! Logs what crosses the network on one connection or datagram socket (`-vv`): a line per call, and a
//! line per second for bulk transfers.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Report;
use super::event::{Event, Level, Side, Transfer};
use super::excerpt::Excerpt;
use crate::net::address::Address;
use crate::net::stream::Stream;
use crate::net::stream_observer::{Call, StreamObserver};

/// Calls per second and direction that have lines of their own; more are a bulk transfer.
const MAX_LINES: u32 = 20;
/// The interval of the lines of a bulk transfer.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is shown of sent bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentContent {
    /// Their beginning.
    Shown,
    /// Nothing: they may have credentials, and are logged elsewhere without them.
    Hidden,
}

/// The log of one connection, or of one datagram socket.
pub struct TrafficLog {
    report: Report,
    conn: Option<u64>,
    peer: String,
    sent_content: SentContent,
    sums: Mutex<Sums>,
}

/// The calls of both directions that have no line yet.
#[derive(Default)]
struct Sums {
    sent: Sum,
    received: Sum,
}

/// One second of one direction.
#[derive(Default)]
struct Sum {
    began: Option<Instant>,
    /// Calls of this second, with a line or without.
    calls: u32,
    /// Whether the last second was one of a bulk transfer.
    is_bulk: bool,
    /// Calls and bytes without a line.
    pending_calls: u64,
    pending_bytes: u64,
}

/// What is logged of a call.
struct Due {
    /// The calls and bytes of the second that has passed, if it was one of a bulk transfer.
    sum: Option<(u64, u64)>,
    /// Whether the call itself has a line.
    has_line: bool,
}

impl Sum {
    fn add(&mut self, bytes: usize, now: Instant) -> Due {
        let mut sum = None;
        if self.began.is_none_or(|began| now.duration_since(began) >= INTERVAL) {
            sum = self.take();
            (self.is_bulk, self.began, self.calls) = (self.calls > MAX_LINES, Some(now), 0);
        }
        self.calls += 1;
        let has_line = !self.is_bulk && self.calls <= MAX_LINES;
        if !has_line {
            self.pending_calls += 1;
            self.pending_bytes += bytes as u64;
        }
        Due { sum, has_line }
    }

    fn take(&mut self) -> Option<(u64, u64)> {
        let calls = std::mem::take(&mut self.pending_calls);
        let bytes = std::mem::take(&mut self.pending_bytes);
        (calls > 0).then_some((calls, bytes))
    }
}

impl TrafficLog {
    /// The log of connection `conn`.
    fn new(report: &Report, conn: Option<u64>, peer: String, sent_content: SentContent) -> Self {
        let sums = Mutex::default();
        TrafficLog { report: report.clone(), conn, peer, sent_content, sums }
    }

    /// The log of a datagram socket, under `-vv`.
    pub fn of_datagrams(report: &Report) -> Option<TrafficLog> {
        let log = || TrafficLog::new(report, None, "all peers".into(), SentContent::Shown);
        report.shows_traffic().then(log)
    }

    /// A datagram was sent to `peer`.
    pub fn sent_datagram(&self, peer: &Address, payload: &[u8]) {
        self.on_datagram(Side::Local, peer, payload);
    }

    /// A datagram was received from `peer`.
    pub fn received_datagram(&self, peer: &Address, payload: &[u8]) {
        self.on_datagram(Side::Peer, peer, payload);
    }

    fn on_datagram(&self, side: Side, peer: &Address, payload: &[u8]) {
        self.on_transfer(side, payload.len(), || Transfer {
            peer: peer.to_string(),
            data: Some(Excerpt::of(payload)),
            ..Transfer::default()
        });
    }

    fn on_transfer(&self, side: Side, bytes: usize, line: impl FnOnce() -> Transfer) {
        let due = self.with_sum(side, |sum| sum.add(bytes, Instant::now()));
        self.log_sum(side, due.sum);
        if due.has_line {
            self.emit(side, Transfer { bytes: bytes as u64, ..line() });
        }
    }

    fn with_sum<T>(&self, side: Side, change: impl FnOnce(&mut Sum) -> T) -> T {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        change(match side {
            Side::Local => &mut sums.sent,
            Side::Peer => &mut sums.received,
        })
    }

    /// Logs what has no line yet.
    fn flush(&self, side: Side) {
        let sum = self.with_sum(side, Sum::take);
        self.log_sum(side, sum);
    }

    fn log_sum(&self, side: Side, sum: Option<(u64, u64)>) {
        if let Some((calls, bytes)) = sum {
            self.emit(side, Transfer { bytes, calls: Some(calls), ..Transfer::default() });
        }
    }

    fn emit(&self, side: Side, transfer: Transfer) {
        let peer = if transfer.peer.is_empty() { self.peer.clone() } else { transfer.peer };
        let transfer = Transfer { conn: self.conn, peer, ..transfer };
        self.report.emit(&match side {
            Side::Local => Event::Sent(transfer),
            Side::Peer => Event::Received(transfer),
        });
    }

    fn on_end(&self, by: Side) {
        self.flush(by);
        self.report.emit(&Event::EndOfStream { conn: self.conn, peer: self.peer.clone(), by });
    }

    fn step(&self, what: &str) {
        self.flush(Side::Local);
        self.flush(Side::Peer);
        self.report.step_at(Level::Traffic, || format!("{what} {}", self.peer));
    }

    fn sent(&self, bytes: &[u8], of: usize) {
        self.on_transfer(Side::Local, bytes.len(), || Transfer {
            of: (bytes.len() < of).then_some(of as u64),
            data: (self.sent_content == SentContent::Shown).then(|| Excerpt::of(bytes)),
            ..Transfer::default()
        });
    }
}

impl fmt::Debug for TrafficLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficLog").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Drop for TrafficLog {
    fn drop(&mut self) {
        self.flush(Side::Local);
        self.flush(Side::Peer);
    }
}

impl StreamObserver for TrafficLog {
    fn on_call(&self, call: Call<'_>) {
        match call {
            Call::Sent(bytes, of) => self.sent(bytes, of),
            Call::SentFile(offset, bytes) => self.on_transfer(Side::Local, bytes, || Transfer {
                offset: Some(offset),
                method: Some("sendfile"),
                ..Transfer::default()
            }),
            Call::Received(bytes) => self.on_transfer(Side::Peer, bytes.len(), || Transfer {
                data: Some(Excerpt::of(bytes)),
                ..Transfer::default()
            }),
            Call::SentEnd => self.on_end(Side::Local),
            Call::ReceivedEnd => self.on_end(Side::Peer),
            Call::ShutDown => self.step("Shut down both directions of the connection to"),
            Call::ReadShutDown => self.step("Shut down receiving from"),
            Call::Reset => self.step("Resetting the connection to"),
            Call::Closing => {
                self.flush(Side::Local);
                self.flush(Side::Peer);
            }
        }
    }
}

impl Report {
    /// The stream of connection `conn`, whose traffic is logged under `-vv`.
    pub fn observe(&self, conn: u64, stream: Stream, sent_content: SentContent) -> Stream {
        if !self.shows_traffic() {
            return stream;
        }
        let peer = stream.info.peer.to_string();
        let log = TrafficLog::new(self, Some(conn), peer, sent_content);
        stream.observed(Arc::new(log))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_transfer_has_one_line_a_second() {
        let (mut sum, start) = (Sum::default(), Instant::now());
        let mut lines = 0;
        let mut sums = Vec::new();
        for n in 0..1000 {
            let due = sum.add(10, start + INTERVAL * n / 250);
            lines += u32::from(due.has_line);
            sums.extend(due.sum);
        }
        assert_eq!(lines, MAX_LINES);
        assert_eq!(sums, [(230, 2300), (250, 2500), (250, 2500)]);
        assert_eq!(sum.take(), Some((250, 2500)));
    }

    #[test]
    fn slow_calls_have_lines_of_their_own() {
        let (mut sum, start) = (Sum::default(), Instant::now());
        let due = (0..100).map(|n| sum.add(1, start + INTERVAL * n / 10));
        assert!(due.into_iter().all(|due| due.has_line && due.sum.is_none()));
    }
}
