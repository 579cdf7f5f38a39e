//! Moves the bytes of one direction: by a small buffer while they are few, by splice(2) where both
//! sockets carry the user's bytes and more arrive.

use std::io::Read;

use super::reader::RelayReader;
use super::writer::RelayWriter;
use crate::net::stream::{Reader, Writer};
use crate::transfer::buffer::Buffer;
use crate::transfer::{Meter, TransferError, TransferOptions, is_interrupted, pump, write_counted};

/// The pipe of one direction, in bytes: as fast as larger ones, and small enough that the pipes of
/// hundreds of connections stay within the limit of an ordinary user (pipe(7),
/// `pipe-user-pages-soft`: 64 MiB).
#[cfg(target_os = "linux")]
const PIPE_SIZE: usize = 256 << 10;

/// Copies from `from` to `to` until the end of `from`.
pub fn run(
    from: &mut RelayReader,
    to: &mut RelayWriter,
    options: &mut TransferOptions,
) -> Result<(), TransferError> {
    if options.tap.is_some() {
        return pump(from as &mut dyn Reader, to as &mut dyn Writer, options);
    }
    let mut kept = None;
    let mut can_splice = from.socket().is_some() && to.socket().is_some();
    loop {
        if from.is_drained() {
            // An idle connection has no buffer.
            kept = None;
            from.wait_for_bytes().map_err(TransferError::Read)?;
        }
        let buffer = kept.get_or_insert_with(Buffer::small);
        let n = from.read(buffer.spare()).map_err(TransferError::Read)?;
        if n == 0 {
            return Ok(());
        }
        write_counted(buffer.filled(n), to, &options.meter, is_interrupted)
            .map_err(TransferError::Write)?;
        if n < buffer.spare().len() {
            continue;
        }
        if can_splice {
            can_splice = splice_all(from, to, &options.meter)?;
        } else {
            buffer.grow_if_full(n);
        }
    }
}

/// Moves what arrives until the end of the stream or a TCP urgent mark (tcp(7)), which the next read
/// handles. Returns `false` if the kernel does not do this, or grants no pipe.
#[cfg(target_os = "linux")]
fn splice_all(
    from: &mut RelayReader,
    to: &mut RelayWriter,
    meter: &Meter,
) -> Result<bool, TransferError> {
    use crate::transfer::splice::{SpliceOutcome, SplicePipe};

    let Some(mut pipe) = SplicePipe::new(PIPE_SIZE) else { return Ok(false) };
    loop {
        let Some(socket) = from.socket() else { return Ok(false) };
        match pipe.fill(socket, PIPE_SIZE).map_err(TransferError::Read)? {
            SpliceOutcome::Moved(_) => {}
            SpliceOutcome::WouldBlock => from.wait().map_err(TransferError::Read)?,
            SpliceOutcome::LeftToCopy => return Ok(true),
        }
        while !pipe.is_empty() {
            let n = to.write_with(|socket| pipe.drain(socket)).map_err(TransferError::Write)?;
            meter.add(n);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn splice_all(_: &mut RelayReader, _: &mut RelayWriter, _: &Meter) -> Result<bool, TransferError> {
    Ok(false)
}
