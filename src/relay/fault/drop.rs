//! `drop`: everything after an offset is discarded, its end too; the connection stays open.

use super::context::{Constructor, FaultContext};
use super::piece::{DirectionEnd, Fault, Piece};
use crate::units;

/// Parses the offset.
pub fn parse(value: &str) -> Result<Constructor, String> {
    let offset = units::size(value)?;
    Ok(Box::new(move |context| Box::new(Drop { context, offset, has_begun: false })))
}

struct Drop {
    context: FaultContext,
    offset: u64,
    has_begun: bool,
}

impl Fault for Drop {
    fn apply(&mut self, mut piece: Piece, next: &mut Vec<Piece>) {
        if piece.end_offset() < self.offset {
            return next.push(piece);
        }
        let rest = piece.split_off(self.offset);
        let has_ended = piece.end.is_some() || rest.is_some_and(|rest| rest.end.is_some());
        piece.end = has_ended.then_some(DirectionEnd::Discarded);
        if self.has_begun {
            piece.bytes.clear();
            piece.events.clear();
        } else {
            self.has_begun = true;
            piece.events.push(self.context.event(self.offset));
        }
        next.extend(Some(piece).filter(|piece| has_ended || !piece.events.is_empty()));
    }
}
