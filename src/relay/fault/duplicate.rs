//! `duplicate`: a share of the datagrams arrives twice.

use super::context::{Constructor, FaultContext};
use super::piece::{Fault, Piece, PieceKind};
use super::share::{self, Share};

/// Parses the share.
pub fn parse(value: &str) -> Result<Constructor, String> {
    let share = share::parse(value)?;
    Ok(Box::new(move |context| Box::new(Duplicate { context, share, count: 0 })))
}

struct Duplicate {
    context: FaultContext,
    share: Share,
    /// Datagrams so far.
    count: u64,
}

impl Fault for Duplicate {
    fn apply(&mut self, piece: Piece, next: &mut Vec<Piece>) {
        let mut copy = None;
        if piece.kind == PieceKind::Datagram {
            self.count += 1;
            if self.context.picks(self.share, self.count - 1) {
                let events = vec![self.context.event(piece.offset)];
                copy = Some(Piece { events, ..piece.clone() });
            }
        }
        next.push(piece);
        next.extend(copy);
    }
}
