//! An end of the direction at an offset, for `close` and `reset`.

use super::context::{Constructor, FaultContext};
use super::piece::{DirectionEnd, Fault, Piece};
use crate::units;

/// Parses an offset; the direction ends with `end` after that many bytes.
pub fn parse(value: &str, end: DirectionEnd) -> Result<Constructor, String> {
    let offset = units::size(value)?;
    Ok(Box::new(move |context| Box::new(EndAt { context, offset, end })))
}

struct EndAt {
    context: FaultContext,
    offset: u64,
    end: DirectionEnd,
}

impl Fault for EndAt {
    fn apply(&mut self, mut piece: Piece, next: &mut Vec<Piece>) {
        if piece.end_offset() >= self.offset {
            piece.split_off(self.offset);
            piece.end = Some(self.end);
            if self.end != DirectionEnd::Reset || self.context.claim_reset() {
                piece.events.push(self.context.event(self.offset));
            }
        }
        next.push(piece);
    }
}
