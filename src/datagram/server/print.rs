//! `print`: what came, on stdout.

use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::net::stdout;
use crate::report::hexdump;
use crate::shutdown::Stop;

/// How a payload is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Look {
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
pub struct Printer {
    look: Look,
    text: Vec<u8>,
    /// When our end no longer waits for the reader.
    last: Option<Instant>,
    lost: usize,
}

impl Printer {
    /// Nothing to print yet.
    pub fn new(look: Look) -> Printer {
        Printer { look, text: Vec::new(), last: None, lost: 0 }
    }

    /// Adds one payload.
    pub fn add(&mut self, payload: &[u8]) {
        match self.look {
            Look::Bare => self.text.extend_from_slice(payload),
            Look::Lines => {
                self.text.extend_from_slice(payload);
                self.text.push(b'\n');
            }
            Look::Hex => self.text.extend_from_slice(hexdump::received(payload).as_bytes()),
        }
    }

    /// Writes what was added. When the run is to end, a reader that takes nothing loses it.
    ///
    /// Fails at [`crate::error::Stage::Stdout`].
    pub fn flush(&mut self, stop: &Stop) -> Result<(), Failure> {
        self.lost += stdout::write_before_the_end(&self.text, stop, PATIENCE, &mut self.last)?;
        self.text.clear();
        Ok(())
    }

    /// How many bytes the reader has lost.
    pub fn lost(&self) -> usize {
        self.lost
    }
}
