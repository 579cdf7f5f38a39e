//! Bytes on their way through the faults of one direction.

use std::time::{Duration, Instant};

use crate::report::event::FaultEvent;

/// Consecutive bytes of a stream, or one datagram, and when they are delivered.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Offset of the first byte: how many bytes its source sent before it.
    pub offset: u64,
    /// The bytes, none at an end.
    pub bytes: Vec<u8>,
    /// The earliest time of delivery.
    pub due: Instant,
    /// How the direction ends after these bytes, if it does.
    pub end: Option<DirectionEnd>,
    /// What it is.
    pub kind: PieceKind,
    /// What is logged when it is delivered.
    pub events: Vec<FaultEvent>,
}

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// Bytes of a stream, which may be divided.
    Stream,
    /// One datagram, also an empty one.
    Datagram,
    /// A datagram that a fault has taken away.
    LostDatagram,
}

/// How a direction with faults ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectionEnd {
    /// The source ended, and everything is delivered.
    Eof,
    /// A fault ended the direction as if the source had ended.
    Closed,
    /// A fault resets the connection; everything before it is delivered.
    Reset,
    /// The source ended after a fault had begun to drop everything: the end is not to be passed on.
    Discarded,
}

impl Piece {
    /// Bytes that were received at `now`, with offset 0.
    pub fn new(kind: PieceKind, bytes: &[u8], now: Instant) -> Piece {
        Piece { offset: 0, bytes: bytes.to_vec(), due: now, end: None, kind, events: Vec::new() }
    }

    /// The end of the source, received at `now`.
    pub fn eof(now: Instant) -> Piece {
        Piece { end: Some(DirectionEnd::Eof), ..Piece::new(PieceKind::Stream, &[], now) }
    }

    /// Offset of the byte after the last one.
    pub fn end_offset(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// Removes and returns what begins at `offset` of the stream, with its events and the end; `None`
    /// unless the offset is inside.
    pub fn split_off(&mut self, offset: u64) -> Option<Piece> {
        let at = offset.checked_sub(self.offset).filter(|at| *at < self.bytes.len() as u64)?;
        let bytes = self.bytes.split_off(at as usize);
        let is_later = |event: &mut FaultEvent| event.offset.is_some_and(|at| at >= offset);
        let events = self.events.extract_if(.., is_later).collect();
        let (due, kind) = (self.due, self.kind);
        Some(Piece { offset, bytes, due, end: self.end.take(), kind, events })
    }
}

/// A fault on one direction of a connection, with its state.
pub trait Fault: Send {
    /// Appends to `next` what becomes of `piece`; pieces come in order.
    fn apply(&mut self, piece: Piece, next: &mut Vec<Piece>) {
        next.push(piece);
    }

    /// Whether connection `conn` is reset when it is accepted.
    fn refuses(&self, _conn: u64) -> bool {
        false
    }

    /// How much later than they came bytes are due without holding back their source.
    fn max_latency(&self) -> Duration {
        Duration::ZERO
    }

    /// How many bytes are read from the source at most in one call.
    fn max_read(&self) -> usize {
        usize::MAX
    }
}
