//! The service `print`: writes payloads to stdout.

use std::time::Duration;

use crate::error::Failure;
use crate::net::stdout::{Grace, Stdout};
use crate::report::hexdump;
use crate::shutdown::Shutdown;

/// The form in which a payload is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrintFormat {
    /// As received, without a separator.
    #[default]
    Bare,
    /// Followed by a line end.
    Lines,
    /// As a hex dump.
    Hex,
}

/// How long a slow reader of stdout may delay shutdown.
const GRACE: Duration = Duration::from_millis(200);

/// Collects payloads and writes them with one call.
#[derive(Debug)]
pub struct PayloadPrinter {
    format: PrintFormat,
    buffer: Vec<u8>,
    /// How much longer the reader has at shutdown.
    grace: Grace,
    /// The number of bytes that were dropped.
    pub unwritten: usize,
}

impl PayloadPrinter {
    /// An empty printer.
    pub fn new(format: PrintFormat) -> PayloadPrinter {
        PayloadPrinter { format, buffer: Vec::new(), grace: Grace::new(GRACE), unwritten: 0 }
    }

    /// Adds one payload to the buffer.
    pub fn add(&mut self, payload: &[u8]) {
        if self.format == PrintFormat::Hex {
            return self.buffer.extend_from_slice(hexdump::received(payload).as_bytes());
        }
        self.buffer.extend_from_slice(payload);
        if self.format == PrintFormat::Lines {
            self.buffer.push(b'\n');
        }
    }

    /// Writes the buffer to `stdout`. At shutdown it is dropped if the reader takes nothing.
    ///
    /// Fails at [`crate::error::Phase::Stdout`].
    pub fn flush(&mut self, stdout: Stdout, shutdown: &Shutdown) -> Result<(), Failure> {
        self.unwritten += stdout.write_with_grace(&self.buffer, &mut self.grace, shutdown)?;
        self.buffer.clear();
        Ok(())
    }
}
