//! Faults on the datagrams of one direction of a flow.

use std::time::Instant;

use super::chain::Chain;
use super::piece::{Piece, PieceKind};
use crate::report::event::FaultEvent;

/// The faults of one direction of a flow.
pub struct DatagramFaults(Chain);

/// A datagram that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDatagram {
    /// Its payload.
    pub bytes: Vec<u8>,
    /// The earliest time to send it.
    pub at: Instant,
}

impl DatagramFaults {
    pub(super) fn new(chain: Chain) -> DatagramFaults {
        DatagramFaults(chain)
    }

    /// What is to be sent, in order, after `datagram` was received at `now`.
    pub fn feed(
        &mut self,
        datagram: &[u8],
        now: Instant,
        on_fault: &dyn Fn(FaultEvent),
    ) -> Vec<DueDatagram> {
        deliver(self.0.pass(Piece::new(PieceKind::Datagram, datagram, now)), on_fault)
    }

    /// What is still held back when the flow ends.
    pub fn flush(&mut self, now: Instant, on_fault: &dyn Fn(FaultEvent)) -> Vec<DueDatagram> {
        deliver(self.0.pass(Piece::eof(now)), on_fault)
    }
}

fn deliver(pieces: Vec<Piece>, on_fault: &dyn Fn(FaultEvent)) -> Vec<DueDatagram> {
    let mut datagrams = Vec::new();
    for piece in pieces {
        piece.events.into_iter().for_each(on_fault);
        if piece.kind == PieceKind::Datagram {
            datagrams.push(DueDatagram { bytes: piece.bytes, at: piece.due });
        }
    }
    datagrams
}
