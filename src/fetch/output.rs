//! Writes a body to stdout, to a terminal, or to a file through its partial file.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use super::binary_body::is_binary;
use super::part_names::Start;
use super::partial_file::{BodyMetadata, KeptName, PartialFile};
use crate::error::{Failure, Phase};
use crate::net::stdout::Stdout;
use crate::report::context::Context;
use crate::report::progress::Progress;
use crate::report::terminal_text::{AllowedControls, TerminalEscaper};
use crate::shutdown::Shutdown;

/// Where a body is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To stdout.
    Stdout,
    /// To this file.
    File(PathBuf),
}

/// What an interrupted download leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPart {
    /// The file with the received bytes.
    pub path: PathBuf,
    /// Whether a later run can continue it.
    pub resumable: bool,
}

/// The output of one URL's response.
pub struct BodyOutput {
    destination: Destination,
    stdout: Stdout,
    shutdown: Shutdown,
    part: Option<PartialFile>,
    /// Escapes control characters when stdout is a terminal.
    terminal: Option<TerminalEscaper>,
    /// Nothing of the body has been checked for binary data yet.
    unchecked: bool,
    /// Whether anything has been written to stdout, which cannot be undone.
    pub stdout_written: bool,
    progress: Option<Progress>,
    draws_progress: bool,
    written: u64,
}

impl BodyOutput {
    /// An output to `destination`; headers, and the body if it is not a file, are written to
    /// `stdout`.
    pub fn new(destination: Destination, stdout: Stdout, context: &Context) -> BodyOutput {
        let terminal = stdout.is_terminal();
        BodyOutput {
            draws_progress: context.report.can_draw() && destination != Destination::Stdout,
            destination,
            stdout,
            shutdown: context.shutdown.clone(),
            part: None,
            terminal: terminal.then(|| TerminalEscaper::new(AllowedControls::Lines)),
            unchecked: true,
            stdout_written: false,
            progress: None,
            written: 0,
        }
    }

    /// The file, if the destination is one.
    pub fn file(&self) -> Option<&PathBuf> {
        match &self.destination {
            Destination::Stdout => None,
            Destination::File(path) => Some(path),
        }
    }

    /// Standard output, if it is a pipe whose reader may exit while the peer is waited for.
    pub fn stdout_pipe(&self) -> Option<BorrowedFd<'static>> {
        (self.destination == Destination::Stdout && self.stdout.is_pipe()).then(|| self.stdout.fd())
    }

    /// Begins a body of `length` bytes, if that is known, at `start` of the file.
    ///
    /// Fails at [`Phase::File`] with code 23.
    pub fn begin(
        &mut self,
        start: Start<'_>,
        length: Option<u64>,
        metadata: BodyMetadata,
    ) -> Result<(), Failure> {
        let offset = if let Start::Resume(point) = start { point.length } else { 0 };
        (self.unchecked, self.written) = (true, offset);
        if let Destination::File(path) = &self.destination {
            self.part = Some(PartialFile::open(path, start, metadata, &self.shutdown)?);
        }
        if self.draws_progress {
            self.progress = Some(Progress::new(length.map(|length| offset + length)));
            self.draw();
        }
        Ok(())
    }

    /// Writes the lines of a header to stdout, for `-i`.
    pub fn write_header(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.print(bytes)?;
        self.print_rest()
    }

    /// Writes to stdout, escaped for a terminal.
    fn print(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stdout_written = true;
        let escaped = self.terminal.as_mut().map(|terminal| terminal.escape(bytes));
        let bytes = escaped.as_deref().unwrap_or(bytes);
        self.stdout.write_all_or_shutdown(bytes, None, &self.shutdown)
    }

    /// Writes the incomplete character that the escaping for a terminal still holds.
    fn print_rest(&mut self) -> Result<(), Failure> {
        let rest = self.terminal.as_mut().map(TerminalEscaper::finish).unwrap_or_default();
        self.stdout.write_all_or_shutdown(&rest, None, &self.shutdown)
    }

    /// Writes the next bytes of the body.
    ///
    /// Fails at [`Phase::File`] or [`Phase::Stdout`] with code 23, there also for a binary body
    /// on a terminal.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.written += bytes.len() as u64;
        if let Some(part) = &mut self.part {
            part.write(bytes)?;
            self.draw();
            return Ok(());
        }
        if std::mem::take(&mut self.unchecked) && self.terminal.is_some() && is_binary(bytes) {
            let why = "the body is binary, and stdout a terminal";
            return Err(Failure::new(Phase::Stdout, "-", why).with_hint("-o FILE saves it"));
        }
        self.print(bytes)
    }

    /// The descriptor that takes the body unchanged; none on a terminal.
    pub fn raw_fd(&self) -> Option<BorrowedFd<'_>> {
        match (&self.destination, &self.part) {
            (Destination::File(_), Some(part)) => Some(part.fd()),
            (Destination::Stdout, None) if self.terminal.is_none() => Some(self.stdout.fd()),
            _ => None,
        }
    }

    /// Counts bytes that the kernel has moved to [`BodyOutput::raw_fd`]; fails as a write does.
    pub fn count_spliced(&mut self, moved: io::Result<u64>) -> Result<(), Failure> {
        self.written += moved.map_err(|e| match &self.part {
            Some(part) => part.failed(e),
            None => Failure::new(Phase::Stdout, "-", e),
        })?;
        self.stdout_written |= self.part.is_none();
        self.draw();
        Ok(())
    }

    fn draw(&self) {
        if let Some(progress) = &self.progress {
            progress.set_position(self.written);
        }
    }

    fn end_progress(&mut self) {
        if let Some(progress) = self.progress.take() {
            progress.end();
        }
    }

    /// Finishes a complete body: the partial file takes its final name.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.end_progress();
        if self.destination == Destination::Stdout {
            self.print_rest()?;
        }
        self.part.take().map_or(Ok(()), PartialFile::finish)
    }

    /// Keeps an incomplete file.
    pub fn keep_partial(&mut self, name: KeptName) -> Result<Option<KeptPart>, Failure> {
        self.end_progress();
        let Some(part) = self.part.take() else { return Ok(None) };
        let resumable = part.can_be_continued();
        Ok(part.keep_partial(name)?.map(|path| KeptPart { path, resumable }))
    }

    /// Deletes the partial file of a complete body.
    pub fn discard(&mut self) -> Result<(), Failure> {
        self.end_progress();
        self.part.take().map_or(Ok(()), PartialFile::discard)
    }
}
