//! `echo`: every byte back (RFC 862).

use std::time::Duration;

use super::{Connection, Service, ServiceOutcome};
use crate::error::Failure;
use crate::transfer::buffer::Buffer;

/// Every byte back, in the order it came, until the peer has no more.
#[derive(Debug, Default)]
pub struct Echo {
    /// The time before what one read brought goes back.
    pub delay: Duration,
}

impl Service for Echo {
    fn serve(&self, guest: &mut Connection) -> Result<ServiceOutcome, Failure> {
        guest.activity.set_stream();
        let mut buffer = Buffer::small();
        loop {
            let n = guest.read(buffer.spare())?;
            if n == 0 {
                let by = guest.ended_by();
                guest.close_gracefully()?;
                return Ok(by.into());
            }
            if !self.delay.is_zero() {
                // Whoever wants the run to end is not kept waiting: the answer comes at once.
                let _ = guest.stop.sleep(self.delay);
            }
            guest.write_all(buffer.filled(n))?;
            buffer.grow_if_full(n);
        }
    }
}
