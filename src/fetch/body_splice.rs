//! Moves body bytes that need neither unframing nor decoding from the socket to the output without
//! a copy, where the kernel can (splice(2), Linux).

#[cfg(target_os = "linux")]
use std::os::fd::BorrowedFd;

use super::connection::{HttpConnection, ReadOutcome};
use super::output::BodyOutput;
use crate::error::Failure;
use crate::http::ResponseParser;
#[cfg(target_os = "linux")]
use crate::net::stream::EndedBy;
#[cfg(target_os = "linux")]
use crate::transfer::TransferError;
#[cfg(target_os = "linux")]
use crate::transfer::splice::{BoundedSplice, SpliceOutcome};

/// The fewest bytes for which a splice is begun.
#[cfg(target_os = "linux")]
const MIN_BYTES: u64 = 256 << 10;

/// Whether the kernel moves body bytes from the socket to the output.
pub enum BodySplice {
    /// Not yet: no long enough part of the body has begun.
    Untried,
    /// It does.
    #[cfg(target_os = "linux")]
    Active(BoundedSplice),
    /// It cannot, or the body has not begun, or is decoded.
    Unsupported,
}

impl BodySplice {
    /// Nothing: bytes have to be read.
    #[cfg(not(target_os = "linux"))]
    pub fn move_some(
        &mut self,
        _: &mut HttpConnection,
        _: &mut BodyOutput,
        _: &mut ResponseParser,
    ) -> Result<Option<ReadOutcome>, Failure> {
        Ok(None)
    }

    /// Lets the kernel move body bytes, which `parser` counts. Returns none when they have to be
    /// read; no bytes when some were moved.
    ///
    /// Fails as a read from `connection` and as a write to `output` does.
    #[cfg(target_os = "linux")]
    pub fn move_some(
        &mut self,
        connection: &mut HttpConnection,
        output: &mut BodyOutput,
        parser: &mut ResponseParser,
    ) -> Result<Option<ReadOutcome>, Failure> {
        let max = self.max_bytes(parser);
        if max == 0 || connection.plain_fd().is_none() || output.raw_fd().is_none() {
            return Ok(None);
        }
        connection.wait_readable()?;
        let (Some(from), Some(to)) = (connection.plain_fd(), output.raw_fd()) else {
            return Ok(None);
        };
        if let BodySplice::Untried = self {
            *self = BodySplice::begin(from, to, max);
        }
        let BodySplice::Active(splice) = self else { return Ok(None) };
        match splice.move_some(from, to, max) {
            Ok(SpliceOutcome::Moved(n)) => {
                let n = n as u64;
                connection.bytes_in += n;
                parser.advance_passthrough(n);
                output.count_spliced(Ok(n))?;
            }
            Ok(SpliceOutcome::WouldBlock) => connection.wait_output_writable(to)?,
            Ok(SpliceOutcome::LeftToCopy) => {
                *self = BodySplice::Unsupported;
                return Ok(None);
            }
            Err(TransferError::Read(e)) => {
                connection.ended_by = EndedBy::Reset;
                return Ok(Some(ReadOutcome::Error(e)));
            }
            Err(TransferError::Write(e)) => output.count_spliced(Err(e))?,
        }
        Ok(Some(ReadOutcome::Bytes(0)))
    }

    #[cfg(target_os = "linux")]
    fn begin(from: BorrowedFd<'_>, to: BorrowedFd<'_>, bytes: u64) -> BodySplice {
        let splice = BoundedSplice::between(from, to);
        tracing::debug!(bytes, splice = splice.is_some(), "body: is moved by the kernel or copied");
        splice.map_or(BodySplice::Unsupported, BodySplice::Active)
    }

    /// How many bytes the kernel may move; 0 if they have to be read.
    #[cfg(target_os = "linux")]
    fn max_bytes(&self, parser: &ResponseParser) -> u64 {
        let len = parser.passthrough_len();
        let min = match self {
            // What was begun in the kernel is finished there, if its end is known.
            BodySplice::Active(_) if parser.progress().expected.is_some() => 1,
            _ => MIN_BYTES,
        };
        if len < min { 0 } else { len }
    }
}
