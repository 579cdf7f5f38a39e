//! `loss`: a share of the datagrams is lost.

use super::context::{Constructor, FaultContext};
use super::piece::{Fault, Piece, PieceKind};
use super::share::{self, Share};

/// Parses the share.
pub fn parse(value: &str) -> Result<Constructor, String> {
    let share = share::parse(value)?;
    Ok(Box::new(move |context| Box::new(Loss { context, share, count: 0 })))
}

struct Loss {
    context: FaultContext,
    share: Share,
    /// Datagrams so far.
    count: u64,
}

impl Fault for Loss {
    fn apply(&mut self, mut piece: Piece, next: &mut Vec<Piece>) {
        if piece.kind == PieceKind::Datagram {
            self.count += 1;
            if self.context.picks(self.share, self.count - 1) {
                piece.events.push(self.context.event(piece.offset));
                piece.kind = PieceKind::LostDatagram;
            }
        }
        next.push(piece);
    }
}
