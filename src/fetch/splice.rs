//! The short way of a plain body: from the socket to the output within the kernel.
#![cfg(target_os = "linux")]

use std::os::fd::BorrowedFd;

use super::connection::HttpConnection;
use super::transaction::Spliced;
use crate::error::Failure;
use crate::transfer::TransferError;
use crate::transfer::splice::{BoundedSplice, SpliceOutcome};

/// The short way, once it is known to exist.
#[derive(Debug, Default)]
pub struct BodySplice {
    portions: Option<BoundedSplice>,
    /// The kernel said no.
    unsupported: bool,
}

impl BodySplice {
    /// Moves up to `most` bytes from the wire to `to`, after waiting for the peer within the
    /// limits of the wire; none if there is no such way. `broken` words a
    /// failure of `to`.
    pub fn splice_from(
        &mut self,
        wire: &mut HttpConnection<'_>,
        to: BorrowedFd<'_>,
        most: u64,
        broken: impl Fn(std::io::Error) -> Failure,
    ) -> Result<Option<Spliced>, Failure> {
        let Some(from) = wire.raw().filter(|_| !self.unsupported) else { return Ok(None) };
        if self.portions.is_none() {
            self.portions = BoundedSplice::between(from, to);
            self.unsupported = self.portions.is_none();
        }
        let Some(portions) = &mut self.portions else { return Ok(None) };
        wire.wait_readable()?;
        let Some(from) = wire.raw() else { return Ok(None) };
        match portions.move_some(from, to, most) {
            Ok(SpliceOutcome::Moved(n)) => Ok(Some(Spliced::Bytes(n))),
            Ok(SpliceOutcome::WouldBlock) => {
                wire.wait_output_writable(to)?;
                Ok(Some(Spliced::Bytes(0)))
            }
            Ok(SpliceOutcome::Unsupported) => {
                self.unsupported = true;
                Ok(None)
            }
            Err(TransferError::Read(e)) => Ok(Some(Spliced::Broken(e))),
            Err(TransferError::Write(e)) => Err(broken(e)),
        }
    }
}
