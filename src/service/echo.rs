//! `echo`: every byte back (RFC 862).

use super::{Ended, Guest, Service};
use crate::failure::Failure;
use crate::pump::buffer::Buffer;

/// Every byte back, in the order it came, until the peer has no more.
pub struct Echo;

impl Service for Echo {
    fn serve(&self, guest: &mut Guest) -> Result<Ended, Failure> {
        let mut buffer = Buffer::small();
        loop {
            let n = guest.receive(buffer.space())?;
            if n == 0 {
                let by = guest.ended_by();
                guest.take_leave()?;
                return Ok(by.into());
            }
            guest.send(buffer.filled(n))?;
            buffer.grow_if_full(n);
        }
    }
}
