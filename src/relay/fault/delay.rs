//! `delay`: each byte arrives later. Jitter is decided per block of bytes or per datagram.

use std::time::Duration;

use super::context::{Constructor, FaultContext};
use super::piece::{Fault, Piece, PieceKind};
use crate::units;

/// Bytes that are delayed by the same time.
const BLOCK: u64 = 1024;
/// The longest delay.
const MAX_DELAY: Duration = Duration::from_secs(3600);

/// Parses `20ms`, `20ms±10ms` or `20ms+-10ms`.
pub fn parse(value: &str) -> Result<Constructor, String> {
    let (mean, jitter) = match value.split_once('±').or_else(|| value.split_once("+-")) {
        Some((mean, jitter)) => (units::duration(mean)?, units::duration(jitter)?),
        None => (units::duration(value)?, Duration::ZERO),
    };
    if jitter > mean {
        return Err(format!("the jitter of '{value}' is longer than the delay"));
    }
    if mean > MAX_DELAY {
        return Err(format!("'{value}' is longer than an hour"));
    }
    Ok(Box::new(move |context| Box::new(Delay { context, mean, jitter, is_logged: false })))
}

struct Delay {
    context: FaultContext,
    mean: Duration,
    jitter: Duration,
    is_logged: bool,
}

impl Delay {
    fn time(&self, place: u64) -> Duration {
        let range = 2 * self.jitter.as_nanos() as u64 + 1;
        self.mean - self.jitter + Duration::from_nanos(self.context.random_below(place, range))
    }

    fn delay(&mut self, mut piece: Piece, place: u64) -> Piece {
        piece.due += self.time(place);
        if !self.is_logged && !piece.bytes.is_empty() {
            self.is_logged = true;
            piece.events.push(self.context.event(piece.offset));
        }
        piece
    }
}

impl Fault for Delay {
    fn apply(&mut self, mut piece: Piece, next: &mut Vec<Piece>) {
        if self.jitter.is_zero() || piece.kind == PieceKind::Datagram {
            let place = piece.offset;
            return next.push(self.delay(piece, place));
        }
        loop {
            let block = piece.offset / BLOCK;
            let rest = piece.split_off((block + 1) * BLOCK);
            next.push(self.delay(piece, block));
            let Some(rest) = rest else { return };
            piece = rest;
        }
    }

    fn max_latency(&self) -> Duration {
        self.mean + self.jitter
    }
}
