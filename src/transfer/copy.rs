//! The plain way: a large buffer between two ends, with everything that wants to see or change
//! the bytes on their way.

use std::io::ErrorKind;

use super::buffer::Buffer;
use super::{TransferError, TransferOptions};
use crate::net::stream::{Reader, Writer};

/// Copies until `from` has no more.
pub(super) fn run(
    from: &mut dyn Reader,
    to: &mut dyn Writer,
    flow: &mut TransferOptions,
) -> Result<(), TransferError> {
    let mut buffer = Buffer::large();
    loop {
        let room = match &flow.pace {
            Some(pace) => pace.chunk_size().min(buffer.spare().len()),
            None => buffer.spare().len(),
        };
        if !flow.wait_readable(from.raw()).map_err(TransferError::Read)? {
            return to.flush().map_err(TransferError::Write);
        }
        let n = match from.read(&mut buffer.spare()[..room]) {
            Ok(0) => return to.flush().map_err(TransferError::Write),
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(TransferError::Read(e)),
        };
        flow.meter.set_in_flight(true);
        let delivered = deliver(buffer.filled(n), to, flow);
        flow.meter.set_in_flight(false);
        delivered?;
    }
}

fn deliver(
    bytes: &[u8],
    to: &mut dyn Writer,
    flow: &mut TransferOptions,
) -> Result<(), TransferError> {
    let changed = flow.filter.as_mut().map(|filter| filter.apply(bytes));
    let bytes = changed.as_deref().unwrap_or(bytes);
    if let Some(pace) = &mut flow.pace {
        pace.wait_for(bytes.len());
    }
    // Before it is sent, or a quick answer would seem to come first.
    if let Some(tap) = &mut flow.tap {
        tap.on_bytes(bytes);
    }
    write_counted(bytes, to, flow)?;
    to.flush().map_err(TransferError::Write)
}

/// As `write_all`, but a failure leaves the meter at what was really taken.
fn write_counted(
    mut bytes: &[u8],
    to: &mut dyn Writer,
    flow: &TransferOptions,
) -> Result<(), TransferError> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(TransferError::Write(ErrorKind::WriteZero.into())),
            Ok(n) => {
                flow.meter.add(n);
                bytes = &bytes[n..];
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(TransferError::Write(e)),
        }
    }
    Ok(())
}
