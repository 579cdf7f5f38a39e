//! `reorder`: a share of the datagrams arrives after the next one, or at the end of the flow.

use super::context::{Constructor, FaultContext};
use super::piece::{Fault, Piece, PieceKind};
use super::share::{self, Share};

/// Parses the share.
pub fn parse(value: &str) -> Result<Constructor, String> {
    let share = share::parse(value)?;
    Ok(Box::new(move |context| Box::new(Reorder { context, share, count: 0, held: None })))
}

struct Reorder {
    context: FaultContext,
    share: Share,
    /// Datagrams so far.
    count: u64,
    held: Option<Piece>,
}

impl Fault for Reorder {
    fn apply(&mut self, mut piece: Piece, next: &mut Vec<Piece>) {
        if piece.kind != PieceKind::Datagram {
            next.extend(self.held.take_if(|_| piece.end.is_some()));
            return next.push(piece);
        }
        self.count += 1;
        if self.held.is_none() && self.context.picks(self.share, self.count - 1) {
            piece.events.push(self.context.event(piece.offset));
            self.held = Some(piece);
            return;
        }
        next.push(piece);
        next.extend(self.held.take());
    }
}
