//! `print`: what came, on stdout.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::failure::Failure;
use crate::pump::stdout;
use crate::report::hex;
use crate::stop::{Stop, Wake, poll_until};

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

/// A pipe that has room takes this much without blocking (pipe(7), `PIPE_BUF`).
const PIECE: usize = 4096;
/// How long a reader that is slow may hold up our end.
const PATIENCE: Duration = Duration::from_millis(200);

/// Gathers payloads and writes them together.
#[derive(Debug)]
pub struct Printer {
    look: Look,
    text: Vec<u8>,
}

impl Printer {
    /// Nothing to print yet.
    pub fn new(look: Look) -> Printer {
        Printer { look, text: Vec::new() }
    }

    /// Adds one payload.
    pub fn add(&mut self, payload: &[u8]) {
        match self.look {
            Look::Bare => self.text.extend_from_slice(payload),
            Look::Lines => {
                self.text.extend_from_slice(payload);
                self.text.push(b'\n');
            }
            Look::Hex => self.text.extend_from_slice(hex::received(payload).as_bytes()),
        }
    }

    /// Writes what was added. When the run is to end, a reader that takes nothing loses it.
    ///
    /// Fails at [`crate::failure::Stage::Stdout`].
    pub fn flush(&mut self, stop: &Stop) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.text);
        for piece in text.chunks(PIECE) {
            if !has_room(stop) {
                return Ok(());
            }
            stdout::write_all(piece)?;
        }
        self.text = text;
        self.text.clear();
        Ok(())
    }
}

fn has_room(stop: &Stop) -> bool {
    let out = rustix::stdio::stdout();
    match stop.wait(out.as_fd(), PollFlags::OUT, None) {
        Ok(Wake::Stopped(_)) => {}
        _ => return true,
    }
    let mut fds = [PollFd::from_borrowed_fd(out, PollFlags::OUT)];
    !matches!(poll_until(&mut fds, Some(Instant::now() + PATIENCE)), Ok(0))
}
