//! `echo`: sends every byte back (RFC 862).

use std::time::Duration;

use super::{Connection, Service, ServiceOutcome};
use crate::error::Failure;
use crate::transfer::buffer::Buffer;

/// The echo service: runs until the peer's end of stream.
#[derive(Debug, Default)]
pub struct Echo {
    /// The time between a read and its reply.
    pub delay: Duration,
}

impl Service for Echo {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        connection.activity.set_stream();
        let mut buffer = Buffer::small();
        loop {
            let n = connection.read(buffer.spare())?;
            if n == 0 {
                return Ok(connection.close_gracefully()?.into());
            }
            if !self.delay.is_zero() {
                // A shutdown of the run ends the delay; the reply is sent immediately.
                let _ = connection.shutdown.sleep(self.delay);
            }
            connection.write_all(buffer.filled(n))?;
            buffer.grow_if_full(n);
        }
    }
}
