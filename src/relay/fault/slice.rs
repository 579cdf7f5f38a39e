//! `slice`: writes of a few bytes each. The places where they end depend on the offset alone; what a
//! read delivers may end a write earlier.

use super::context::{Constructor, FaultContext};
use super::piece::{Fault, Piece};
use crate::units;

/// The longest write.
const MAX_LEN: u64 = 1 << 20;
/// Writes that one read is divided into at most, about.
const WRITES_PER_READ: usize = 64;

/// Parses `7` or `1..7`.
pub fn parse(value: &str) -> Result<Constructor, String> {
    let (min, max) = value.split_once("..").unwrap_or((value, value));
    let (min, max) = (units::size(min)?, units::size(max)?);
    if min < 1 || max < min || max > MAX_LEN {
        return Err(format!("'{value}' is not a range of lengths from 1 to 1Mi such as 1..7"));
    }
    Ok(Box::new(move |context| Box::new(Slice { context, min, max, write_end: 0 })))
}

struct Slice {
    context: FaultContext,
    min: u64,
    max: u64,
    /// Offset at which the current write ends.
    write_end: u64,
}

impl Slice {
    fn begin_write(&mut self) {
        let more = self.context.random_below(self.write_end, self.max - self.min + 1);
        self.write_end += self.min + more;
    }
}

impl Fault for Slice {
    fn apply(&mut self, mut piece: Piece, next: &mut Vec<Piece>) {
        if self.write_end == 0 && !piece.bytes.is_empty() {
            piece.events.push(self.context.event(piece.offset));
            self.begin_write();
        }
        while let Some(rest) = piece.split_off(self.write_end) {
            next.extend(Some(piece).filter(|piece| !piece.bytes.is_empty()));
            piece = rest;
            self.begin_write();
        }
        next.push(piece);
    }

    fn max_read(&self) -> usize {
        self.max as usize * WRITES_PER_READ
    }
}
