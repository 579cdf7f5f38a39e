//! The short way of a plain body: from the socket to the output within the kernel.
#![cfg(target_os = "linux")]

use std::os::fd::BorrowedFd;

use super::connection::Wire;
use super::transaction::Passed;
use crate::error::Failure;
use crate::transfer::Break;
use crate::transfer::bounded_splice::{Moved, Portions};

/// The short way, once it is known to exist.
#[derive(Debug, Default)]
pub struct Shortcut {
    portions: Option<Portions>,
    /// The kernel said no.
    closed: bool,
}

impl Shortcut {
    /// Moves up to `most` bytes from the wire to `to`, after waiting for the peer within the
    /// limits of the wire; none if there is no such way. `broken` words a
    /// failure of `to`.
    pub fn pass(
        &mut self,
        wire: &mut Wire<'_>,
        to: BorrowedFd<'_>,
        most: u64,
        broken: impl Fn(std::io::Error) -> Failure,
    ) -> Result<Option<Passed>, Failure> {
        let Some(from) = wire.raw().filter(|_| !self.closed) else { return Ok(None) };
        if self.portions.is_none() {
            self.portions = Portions::between(from, to);
            self.closed = self.portions.is_none();
        }
        let Some(portions) = &mut self.portions else { return Ok(None) };
        wire.await_bytes()?;
        let Some(from) = wire.raw() else { return Ok(None) };
        match portions.move_some(from, to, most) {
            Ok(Moved::Bytes(n)) => Ok(Some(Passed::Bytes(n))),
            Ok(Moved::Full) => {
                wire.await_reader(to)?;
                Ok(Some(Passed::Bytes(0)))
            }
            Ok(Moved::Refused) => {
                self.closed = true;
                Ok(None)
            }
            Err(Break::Read(e)) => Ok(Some(Passed::Broken(e))),
            Err(Break::Write(e)) => Err(broken(e)),
        }
    }
}
