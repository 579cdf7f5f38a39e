//! `drop`: everything after an offset vanishes, its end too; the connection stays open.

use super::context::{Constructor, Site};
use super::piece::{DirectionEnd, Fault, Piece};
use crate::units;

/// Parses the offset.
pub fn parse(value: &str) -> Result<Constructor, String> {
    let offset = units::size(value)?;
    Ok(Box::new(move |site| Box::new(Drop { site, offset, has_begun: false })))
}

struct Drop {
    site: Site,
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
        piece.end = has_ended.then_some(DirectionEnd::Vanished);
        if self.has_begun {
            piece.bytes.clear();
            piece.events.clear();
        } else {
            self.has_begun = true;
            piece.events.push(self.site.event(self.offset));
        }
        next.extend(Some(piece).filter(|piece| has_ended || !piece.events.is_empty()));
    }
}
