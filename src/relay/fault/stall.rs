//! `stall`: a pause at an offset.

use std::time::Duration;

use super::context::{Constructor, FaultContext};
use super::piece::{Fault, Piece};
use crate::units;

/// The longest pause.
const MAX_TIME: Duration = Duration::from_secs(24 * 3600);

/// Parses `5s@4096`.
pub fn parse(value: &str) -> Result<Constructor, String> {
    let (time, offset) = value
        .split_once('@')
        .ok_or_else(|| format!("'{value}' is not a pause and an offset such as 5s@4096"))?;
    let (time, offset) = (units::duration(time)?, units::size(offset)?);
    if time > MAX_TIME {
        return Err(format!("'{value}' is longer than a day"));
    }
    Ok(Box::new(move |context| Box::new(Stall { context, time, offset, is_over: false })))
}

struct Stall {
    context: FaultContext,
    time: Duration,
    offset: u64,
    is_over: bool,
}

impl Fault for Stall {
    fn apply(&mut self, mut piece: Piece, next: &mut Vec<Piece>) {
        let end = piece.end_offset();
        // An end before the offset is not delayed.
        let holds_offset = end > self.offset || (end == self.offset && piece.end.is_some());
        if self.is_over || !holds_offset {
            return next.push(piece);
        }
        self.is_over = true;
        if let Some(rest) = piece.split_off(self.offset) {
            let before = std::mem::replace(&mut piece, rest);
            next.extend(Some(before).filter(|before| !before.bytes.is_empty()));
        }
        // What follows is due later too: pieces stay in order.
        piece.due += self.time;
        piece.events.push(self.context.event(self.offset));
        next.push(piece);
    }
}
