//! `corrupt`: one bit in each block of bytes is flipped.

use super::context::{Constructor, FaultContext};
use super::piece::{Fault, Piece};
use crate::units;

/// The longest block, so that its bits can be counted.
const MAX_BLOCK: u64 = 1 << 60;

/// Parses `1/1Mi`.
pub fn parse(value: &str) -> Result<Constructor, String> {
    let bad = || format!("'{value}' is not a bit in a number of bytes such as 1/1Mi");
    let block = units::size(value.strip_prefix("1/").ok_or_else(bad)?)?;
    if block == 0 || block > MAX_BLOCK {
        return Err(bad());
    }
    Ok(Box::new(move |context| Box::new(Corrupt { context, block })))
}

struct Corrupt {
    context: FaultContext,
    /// Bytes of which one is changed.
    block: u64,
}

impl Fault for Corrupt {
    fn apply(&mut self, mut piece: Piece, next: &mut Vec<Piece>) {
        let blocks = piece.offset / self.block..piece.end_offset().div_ceil(self.block);
        for block in blocks {
            let place = self.context.random_below(block, self.block * 8);
            let (offset, bit) = (block * self.block + place / 8, (place % 8) as u8);
            let at = offset.checked_sub(piece.offset).and_then(|at| usize::try_from(at).ok());
            if let Some(byte) = at.and_then(|at| piece.bytes.get_mut(at)) {
                *byte ^= 1 << bit;
                let mut event = self.context.event(offset);
                event.bit = Some(bit);
                piece.events.push(event);
            }
        }
        next.push(piece);
    }
}
