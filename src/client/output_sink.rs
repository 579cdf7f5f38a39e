//! Where the replies of a prompt or a script are written.

use std::time::Duration;

use super::files::{Files, OutputFile};
use super::options::SessionOptions;
use crate::error::{Failure, Phase};
use crate::net::stdio::reader_closed;
use crate::net::stdout::Stdout;
use crate::shutdown::Shutdown;
use crate::transfer::duplex::OnLocalEof;

/// The destination of received bytes.
pub enum OutputSink {
    /// Standard output.
    Stdout(Stdout),
    /// `--output`.
    File(OutputFile),
    /// `--send-only`: nothing is written.
    Discard,
}

impl OutputSink {
    /// The destination that `options` ask for; an output file is moved out of `files`.
    pub fn new(options: &SessionOptions, files: &mut Files) -> OutputSink {
        match files.output.take() {
            _ if options.duplex.on_local_eof == OnLocalEof::SendOnly => OutputSink::Discard,
            Some(output) => OutputSink::File(output),
            None => OutputSink::Stdout(files.std.stdout),
        }
    }

    /// Writes `bytes`. A blocked stdout is waited for until `shutdown`, or for `idle_timeout`.
    ///
    /// Fails at [`Phase::Stdout`] or [`Phase::File`] with 23, or with 28, 130 or 143.
    pub fn write(
        &mut self,
        bytes: &[u8],
        idle_timeout: Option<Duration>,
        shutdown: &Shutdown,
    ) -> Result<(), Failure> {
        match self {
            OutputSink::Stdout(stdout) => {
                stdout.write_all_or_shutdown(bytes, idle_timeout, shutdown)
            }
            OutputSink::File(output) => output.write(bytes),
            OutputSink::Discard => Ok(()),
        }
    }

    /// Ends the output; an output file that received nothing is truncated now.
    ///
    /// Fails at [`Phase::File`] with 23.
    pub fn finish(&mut self) -> Result<(), Failure> {
        match self {
            OutputSink::File(output) => output.write(b""),
            OutputSink::Stdout(_) | OutputSink::Discard => Ok(()),
        }
    }

    /// Whether replies are printed on a terminal.
    pub fn is_terminal(&self) -> bool {
        matches!(self, OutputSink::Stdout(stdout) if stdout.is_terminal())
    }

    /// Detects a closed reader of stdout without writing.
    ///
    /// Fails as a write would, see [`crate::net::stdout::is_broken_pipe`].
    pub fn check(&self) -> Result<(), Failure> {
        match self {
            OutputSink::Stdout(stdout) if reader_closed(stdout.fd()) => {
                let broken_pipe = std::io::Error::from(rustix::io::Errno::PIPE);
                Err(Failure::new(Phase::Stdout, "-", broken_pipe))
            }
            _ => Ok(()),
        }
    }
}
