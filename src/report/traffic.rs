//! Logs what crosses the network on one connection or datagram socket (`-vv`): a line per call, and a
//! line per second for bulk transfers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Report;
use super::bulk_sum::{BulkSum, CallCount};
use super::event::{Event, Level, Side, Transfer};
use super::excerpt::Excerpt;
use crate::net::address::Address;
use crate::net::stream::Stream;
use crate::net::stream_observer::{Call, StreamObserver};

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
    sent: BulkSum,
    received: BulkSum,
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

    fn with_sum<T>(&self, side: Side, change: impl FnOnce(&mut BulkSum) -> T) -> T {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        change(match side {
            Side::Local => &mut sums.sent,
            _ => &mut sums.received,
        })
    }

    /// Logs what has no line yet.
    fn flush(&self, side: Side) {
        let sum = self.with_sum(side, BulkSum::take);
        self.log_sum(side, sum);
    }

    fn log_sum(&self, side: Side, sum: Option<CallCount>) {
        if let Some(CallCount { calls, bytes }) = sum {
            self.emit(side, Transfer { bytes, calls: Some(calls), ..Transfer::default() });
        }
    }

    fn emit(&self, side: Side, transfer: Transfer) {
        let peer = if transfer.peer.is_empty() { self.peer.clone() } else { transfer.peer };
        let transfer = Transfer { conn: self.conn, peer, ..transfer };
        self.report.emit(&match side {
            Side::Local => Event::Sent(transfer),
            _ => Event::Received(transfer),
        });
    }

    fn on_end(&self, by: Side) {
        self.flush(by);
        self.report.emit(&Event::EndOfStream { conn: self.conn, peer: self.peer.clone(), by });
    }

    fn flush_both(&self) {
        self.flush(Side::Local);
        self.flush(Side::Peer);
    }

    fn step(&self, what: &str) {
        self.flush_both();
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

impl Drop for TrafficLog {
    fn drop(&mut self) {
        self.flush_both();
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
            Call::Closing => self.flush_both(),
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
