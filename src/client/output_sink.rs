//! Where the replies of a prompt or a script go.

use std::io::IsTerminal;
use std::time::Duration;

use super::files::{Files, OutputFile};
use crate::error::{Failure, Phase};
use crate::flags::session::SessionFlags;
use crate::net::stdio::reader_closed;
use crate::net::stdout;
use crate::shutdown::Shutdown;
use crate::transfer::duplex::OnLocalEof;

/// Whoever takes what came.
pub enum OutputSink {
    /// Our stdout.
    Stdout,
    /// `--output`.
    File(OutputFile),
    /// Nobody: `--send-only`.
    Discard,
}

impl OutputSink {
    /// As `talk` says; the output is taken out of `files`.
    pub fn new(talk: &SessionFlags, files: &mut Files) -> OutputSink {
        match files.output.take() {
            _ if talk.on_end() == OnLocalEof::SendOnly => OutputSink::Discard,
            Some(output) => OutputSink::File(output),
            None => OutputSink::Stdout,
        }
    }

    /// Hands `bytes` over; a reader that takes its time holds up nobody who pulls the cord, nor a
    /// conversation that nothing moves in for the time of `idle`.
    ///
    /// Fails at [`Stage::Stdout`] or [`Stage::File`] with 23, or with 28, 130 or 143.
    pub fn write(
        &mut self,
        bytes: &[u8],
        idle: Option<Duration>,
        stop: &Shutdown,
    ) -> Result<(), Failure> {
        match self {
            OutputSink::Stdout => stdout::write_all_within(bytes, idle, stop),
            OutputSink::File(output) => output.write(bytes),
            OutputSink::Discard => Ok(()),
        }
    }

    /// All that came has been taken, also if it was nothing.
    ///
    /// Fails at [`Stage::File`] with 23.
    pub fn end(&mut self) -> Result<(), Failure> {
        match self {
            OutputSink::File(output) => output.write(b""),
            OutputSink::Stdout | OutputSink::Discard => Ok(()),
        }
    }

    /// Whether the replies appear where a prompt may stand.
    pub fn is_terminal(&self) -> bool {
        matches!(self, OutputSink::Stdout) && std::io::stdout().is_terminal()
    }

    /// Notices that whoever read our stdout has gone, also when there is nothing to write.
    ///
    /// Fails as a write would: [`stdout::reader_is_gone`] knows it.
    pub fn check(&self) -> Result<(), Failure> {
        match self {
            OutputSink::Stdout if reader_closed(rustix::stdio::stdout()) => {
                let gone = rustix::io::Errno::PIPE;
                Err(Failure::new(Phase::Stdout, "-", std::io::Error::from(gone)))
            }
            _ => Ok(()),
        }
    }
}
