//! `refuse`: a share of the connections is reset when it is accepted.

use super::context::{Constructor, FaultContext};
use super::piece::Fault;
use super::share::{self, Share};

/// Parses the share.
pub fn parse(value: &str) -> Result<Constructor, String> {
    let share = share::parse(value)?;
    Ok(Box::new(move |context| Box::new(Refuse { context, share })))
}

struct Refuse {
    context: FaultContext,
    share: Share,
}

impl Fault for Refuse {
    fn refuses(&self, conn: u64) -> bool {
        self.context.picks(self.share, conn.saturating_sub(1))
    }
}
