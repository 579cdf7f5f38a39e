//! `rate`: bytes per second, without bursts.

use std::time::{Duration, Instant};

use super::context::{Constructor, FaultContext};
use super::piece::{Fault, Piece};
use crate::units;

/// Reads per second, so that the rate is even.
const READS_PER_SECOND: u64 = 20;

/// Parses `64Ki` or `64Ki/s`.
pub fn parse(value: &str) -> Result<Constructor, String> {
    let rate = units::rate(value)?;
    Ok(Box::new(move |context| Box::new(Rate { context, rate, free_at: None })))
}

struct Rate {
    context: FaultContext,
    /// Bytes per second.
    rate: u64,
    /// When the last byte so far has been sent.
    free_at: Option<Instant>,
}

impl Fault for Rate {
    fn apply(&mut self, mut piece: Piece, next: &mut Vec<Piece>) {
        if self.free_at.is_none() && !piece.bytes.is_empty() {
            piece.events.push(self.context.event(piece.offset));
        }
        let begins_at = self.free_at.map_or(piece.due, |free_at| free_at.max(piece.due));
        piece.due =
            begins_at + Duration::from_secs_f64(piece.bytes.len() as f64 / self.rate as f64);
        if !piece.bytes.is_empty() {
            self.free_at = Some(piece.due);
        }
        next.push(piece);
    }

    fn max_read(&self) -> usize {
        usize::try_from(self.rate / READS_PER_SECOND).unwrap_or(usize::MAX).max(1)
    }
}
