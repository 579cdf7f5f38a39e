//! Copies through a buffer, where a tap, a filter or a rate applies, or no faster method does.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::{Meter, TransferError, TransferOptions};
use crate::net::memory::zeroed_buffer;
use crate::net::stream::{Reader, Writer};

/// The buffer, in bytes: larger ones are not faster.
const BUFFER_SIZE: usize = 256 << 10;
/// The smallest buffer, in bytes, where memory is short.
const MIN_BUFFER: usize = 2 << 10;

/// Copies until the end of `from`.
pub(super) fn run(
    from: &mut dyn Reader,
    to: &mut dyn Writer,
    options: &mut TransferOptions,
) -> Result<(), TransferError> {
    let mut buffer = zeroed_buffer(BUFFER_SIZE, MIN_BUFFER);
    let room = options.chunk_size(buffer.len());
    loop {
        if !options.wait_readable(from.plain_fd()).map_err(TransferError::Read)? {
            return to.flush().map_err(TransferError::Write);
        }
        let n = match from.read(&mut buffer[..room]) {
            Ok(0) => return to.flush().map_err(TransferError::Write),
            Ok(n) => n,
            Err(e) if is_interrupted(&e) => continue,
            Err(e) => return Err(TransferError::Read(e)),
        };
        options.meter.set_in_flight(true);
        let delivered = match options.line_delay {
            None => deliver(&buffer[..n], to, options),
            Some(delay) => deliver_lines(&buffer[..n], delay, to, options),
        };
        options.meter.set_in_flight(false);
        delivered?;
    }
}

/// Pauses after each line.
fn deliver_lines(
    bytes: &[u8],
    delay: Duration,
    to: &mut dyn Writer,
    options: &mut TransferOptions,
) -> Result<(), TransferError> {
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        deliver(line, to, options)?;
        std::thread::sleep(delay);
    }
    Ok(())
}

fn deliver(
    bytes: &[u8],
    to: &mut dyn Writer,
    options: &mut TransferOptions,
) -> Result<(), TransferError> {
    let changed = options.filter.as_mut().map(|filter| filter.apply(bytes));
    let bytes = changed.as_deref().unwrap_or(bytes);
    options.begin(bytes);
    write_counted(bytes, to, &options.meter, is_interrupted).map_err(TransferError::Write)?;
    to.flush().map_err(TransferError::Write)
}

/// As `write_all`, but calls that fail as `should_retry` names it are repeated, and after a failure
/// `meter` has counted what was written.
pub fn write_counted(
    mut bytes: &[u8],
    to: &mut dyn Writer,
    meter: &Meter,
    should_retry: impl Fn(&io::Error) -> bool,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => {
                meter.add(n);
                bytes = &bytes[n..];
            }
            Err(e) if should_retry(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Whether a signal interrupted the call (signal(7)), so that it is to be repeated.
pub fn is_interrupted(e: &io::Error) -> bool {
    e.kind() == ErrorKind::Interrupted
}
