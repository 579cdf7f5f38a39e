//! The datagrams of one direction of a flow, with the faults that are put on them.

use std::collections::VecDeque;
use std::time::Instant;

use crate::relay::fault::{FaultChain, Piece, PieceKind};
use crate::report::Report;
use crate::report::event::Event;

/// Datagrams that wait for their time; further ones are dropped, as by a full queue of a device.
const MAX_WAITING: usize = 4096;

/// Datagrams in the order in which they are sent, each at its time.
pub struct DueQueue {
    faults: FaultChain,
    report: Report,
    waiting: VecDeque<Piece>,
}

impl DueQueue {
    /// A queue with these faults, which are emitted to `report`.
    pub fn new(faults: FaultChain, report: &Report) -> DueQueue {
        DueQueue { faults, report: report.clone(), waiting: VecDeque::new() }
    }

    /// Adds what the faults make of `datagram`, which has just been received.
    pub fn add(&mut self, datagram: &[u8]) {
        self.pass(Piece::new(PieceKind::Datagram, datagram, Instant::now()));
    }

    /// Makes due what the faults hold back and what waits for its time.
    pub fn flush(&mut self) {
        let now = Instant::now();
        self.pass(Piece::eof(now));
        self.waiting.iter_mut().for_each(|datagram| datagram.due = now);
    }

    fn pass(&mut self, piece: Piece) {
        for mut piece in self.faults.pass(piece) {
            let events = std::mem::take(&mut piece.events);
            events.into_iter().for_each(|event| self.report.emit(&Event::Fault(event)));
            if piece.kind == PieceKind::Datagram && self.waiting.len() < MAX_WAITING {
                self.waiting.push_back(piece);
            }
        }
    }

    /// The next datagram, if its time has come.
    pub fn pop(&mut self) -> Option<Vec<u8>> {
        let is_due = self.next_due().is_some_and(|at| at <= Instant::now());
        if is_due { self.waiting.pop_front().map(|datagram| datagram.bytes) } else { None }
    }

    /// When the next datagram is to be sent.
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.front().map(|datagram| datagram.due)
    }
}
