//! `print`: what came, on stdout.

use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::net::stdout;
use crate::report::hexdump;
use crate::shutdown::Shutdown;

/// How a payload is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrintFormat {
    /// As it came, nothing between one and the next.
    #[default]
    Bare,
    /// With a line end behind each.
    Lines,
    /// As a hex dump.
    Hex,
}

/// How long a reader that is slow may hold up our end.
const PATIENCE: Duration = Duration::from_millis(200);

/// Gathers payloads and writes them together.
#[derive(Debug)]
pub struct PayloadPrinter {
    look: PrintFormat,
    text: Vec<u8>,
    /// When our end no longer waits for the reader.
    last: Option<Instant>,
    lost: usize,
}

impl PayloadPrinter {
    /// Nothing to print yet.
    pub fn new(look: PrintFormat) -> PayloadPrinter {
        PayloadPrinter { look, text: Vec::new(), last: None, lost: 0 }
    }

    /// Adds one payload.
    pub fn add(&mut self, payload: &[u8]) {
        match self.look {
            PrintFormat::Bare => self.text.extend_from_slice(payload),
            PrintFormat::Lines => {
                self.text.extend_from_slice(payload);
                self.text.push(b'\n');
            }
            PrintFormat::Hex => self.text.extend_from_slice(hexdump::received(payload).as_bytes()),
        }
    }

    /// Writes what was added. When the run is to end, a reader that takes nothing loses it.
    ///
    /// Fails at [`crate::error::Stage::Stdout`].
    pub fn flush(&mut self, stop: &Shutdown) -> Result<(), Failure> {
        self.lost += stdout::write_with_grace(&self.text, stop, PATIENCE, &mut self.last)?;
        self.text.clear();
        Ok(())
    }

    /// How many bytes the reader has lost.
    pub fn print_failed(&self) -> usize {
        self.lost
    }
}
