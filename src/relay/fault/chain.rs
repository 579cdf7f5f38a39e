//! The faults of one direction, one after the other.

use std::time::{Duration, Instant};

use super::piece::{Fault, Piece, PieceKind};

/// The faults of both directions of one connection.
#[derive(Default)]
pub struct ConnectionFaults {
    /// Those on bytes from the target; `None` when there are none.
    pub to_client: Option<FaultChain>,
    /// Those on bytes from the client.
    pub to_target: Option<FaultChain>,
}

/// Faults in their order, and how far their direction has come.
#[derive(Default)]
pub struct FaultChain {
    pub(super) faults: Vec<Box<dyn Fault>>,
    /// Bytes from the source so far.
    offset: u64,
    /// When the last piece is due.
    last_due: Option<Instant>,
    has_ended: bool,
}

impl FaultChain {
    pub(super) fn new(faults: Vec<Box<dyn Fault>>) -> FaultChain {
        FaultChain { faults, ..FaultChain::default() }
    }

    /// What becomes of the next `bytes` of a stream, read at `now`. Nothing after an end.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) -> Vec<Piece> {
        self.pass(Piece::new(PieceKind::Stream, bytes, now))
    }

    /// What is left at the end of the source.
    pub fn finish(&mut self, now: Instant) -> Vec<Piece> {
        self.pass(Piece::eof(now))
    }

    /// How many bytes are to be read in one call at most.
    pub fn max_read(&self) -> usize {
        self.faults.iter().map(|fault| fault.max_read()).min().unwrap_or(usize::MAX)
    }

    /// The time from which on the source may be read again with `ahead` of work in the queue.
    pub fn can_read_at(&self, ahead: Duration) -> Option<Instant> {
        let latency: Duration = self.faults.iter().map(|fault| fault.max_latency()).sum();
        self.last_due?.checked_sub(latency + ahead)
    }

    /// Passes the next piece of the source with its offset through all faults.
    pub fn pass(&mut self, piece: Piece) -> Vec<Piece> {
        if self.has_ended {
            return Vec::new();
        }
        let piece = Piece { offset: self.offset, ..piece };
        self.offset = piece.end_offset();
        let mut pieces = vec![piece];
        for fault in &mut self.faults {
            let mut next = Vec::new();
            pieces.into_iter().for_each(|piece| fault.apply(piece, &mut next));
            pieces = next;
            // Nothing comes after an end.
            let end = pieces.iter().position(|piece| piece.end.is_some());
            pieces.truncate(end.map_or(pieces.len(), |end| end + 1));
        }
        for piece in &mut pieces {
            self.keep_order(piece);
            piece.events.sort_by_key(|event| event.offset);
        }
        self.has_ended = pieces.last().is_some_and(|piece| piece.end.is_some());
        pieces
    }

    fn keep_order(&mut self, piece: &mut Piece) {
        let due = self.last_due.map_or(piece.due, |last| last.max(piece.due));
        piece.due = due;
        self.last_due = Some(due);
    }
}
