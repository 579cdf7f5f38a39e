//! `discard`: reads everything and sends nothing (RFC 863).

use super::{Connection, Service, ServiceOutcome};
use crate::error::Failure;
use crate::transfer::buffer::Buffer;

/// The discard service.
#[derive(Debug, Default)]
pub struct Discard;

impl Service for Discard {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        connection.activity.set_stream();
        let mut buffer = Buffer::small();
        let mut is_bulk = false;
        loop {
            // Bulk data need not even be copied out of the kernel.
            let n = if is_bulk {
                connection.skip(buffer.spare())?
            } else {
                connection.read(buffer.spare())?
            };
            if n == 0 {
                return Ok(connection.close_gracefully()?.into());
            }
            is_bulk |= n == buffer.spare().len();
            buffer.grow_if_full(n);
        }
    }
}
