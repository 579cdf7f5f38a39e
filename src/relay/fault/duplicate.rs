//! `duplicate`: a share of the datagrams arrives twice.

use super::context::{Constructor, Site};
use super::piece::{Fault, Piece, PieceKind};
use super::share::{self, Share};

/// Parses the share.
pub fn parse(value: &str) -> Result<Constructor, String> {
    let share = share::parse(value)?;
    Ok(Box::new(move |site| Box::new(Duplicate { site, share, count: 0 })))
}

struct Duplicate {
    site: Site,
    share: Share,
    /// Datagrams so far.
    count: u64,
}

impl Fault for Duplicate {
    fn apply(&mut self, piece: Piece, next: &mut Vec<Piece>) {
        let mut copy = None;
        if piece.kind == PieceKind::Datagram {
            self.count += 1;
            if self.site.picks(self.share, self.count - 1) {
                let events = vec![self.site.event(piece.offset)];
                copy = Some(Piece { events, ..piece.clone() });
            }
        }
        next.push(piece);
        next.extend(copy);
    }
}
