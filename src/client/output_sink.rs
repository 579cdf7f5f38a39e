//! Where the replies of a prompt or a script go.

use std::io::IsTerminal;
use std::time::Duration;

use super::files::{Files, Output};
use crate::error::{Failure, Stage};
use crate::flags::session::Talk;
use crate::net::stdio::is_abandoned;
use crate::net::stdout;
use crate::shutdown::Stop;
use crate::transfer::duplex::OnEnd;

/// Whoever takes what came.
pub enum Taker {
    /// Our stdout.
    Stdout,
    /// `--output`.
    File(Output),
    /// Nobody: `--send-only`.
    Nobody,
}

impl Taker {
    /// As `talk` says; the output is taken out of `files`.
    pub fn new(talk: &Talk, files: &mut Files) -> Taker {
        match files.output.take() {
            _ if talk.on_end() == OnEnd::SendOnly => Taker::Nobody,
            Some(output) => Taker::File(output),
            None => Taker::Stdout,
        }
    }

    /// Hands `bytes` over; a reader that takes its time holds up nobody who pulls the cord, nor a
    /// conversation that nothing moves in for the time of `idle`.
    ///
    /// Fails at [`Stage::Stdout`] or [`Stage::File`] with 23, or with 28, 130 or 143.
    pub fn take(
        &mut self,
        bytes: &[u8],
        idle: Option<Duration>,
        stop: &Stop,
    ) -> Result<(), Failure> {
        match self {
            Taker::Stdout => stdout::write_all_within(bytes, idle, stop),
            Taker::File(output) => output.put(bytes),
            Taker::Nobody => Ok(()),
        }
    }

    /// All that came has been taken, also if it was nothing.
    ///
    /// Fails at [`Stage::File`] with 23.
    pub fn end(&mut self) -> Result<(), Failure> {
        match self {
            Taker::File(output) => output.put(b""),
            Taker::Stdout | Taker::Nobody => Ok(()),
        }
    }

    /// Whether the replies appear where a prompt may stand.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Taker::Stdout) && std::io::stdout().is_terminal()
    }

    /// Notices that whoever read our stdout has gone, also when there is nothing to write.
    ///
    /// Fails as a write would: [`stdout::reader_is_gone`] knows it.
    pub fn check(&self) -> Result<(), Failure> {
        match self {
            Taker::Stdout if is_abandoned(rustix::stdio::stdout()) => {
                let gone = rustix::io::Errno::PIPE;
                Err(Failure::new(Stage::Stdout, "-", std::io::Error::from(gone)))
            }
            _ => Ok(()),
        }
    }
}
