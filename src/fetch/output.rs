//! Where a body goes: stdout, a terminal, or a file by way of its part.

use std::io::IsTerminal;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use rustix::fs::{FileType, fstat};

use super::binary_body::is_binary;
#[cfg(target_os = "linux")]
use super::connection::HttpConnection;
use super::partial_file::{PartialFile, Save, Start};
#[cfg(target_os = "linux")]
use super::transaction::Spliced;
use crate::error::{Failure, Phase};
use crate::net::stdout;
use crate::report::Report;
use crate::report::progress::Progress;
use crate::report::terminal_text::{AllowedControls, TerminalEscaper};
use crate::shutdown::Shutdown;

/// Where the user wants a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// On stdout.
    Stdout,
    /// In this file.
    File(PathBuf),
}

/// The way of one URL's answer out of here.
pub struct BodyOutput {
    place: Destination,
    stop: Shutdown,
    part: Option<PartialFile>,
    /// Set when stdout is a terminal.
    shown: Option<TerminalEscaper>,
    begun: bool,
    /// Nothing of the body has been looked at yet.
    fresh: bool,
    /// Whether anything is on stdout already, which cannot be taken back.
    pub stdout_written: bool,
    bar: Option<Progress>,
    draws: bool,
    written: u64,
    #[cfg(target_os = "linux")]
    shortcut: super::splice::BodySplice,
}

impl BodyOutput {
    /// The way to `place`.
    pub fn new(place: Destination, report: &Report, stop: &Shutdown) -> BodyOutput {
        let terminal = std::io::stdout().is_terminal();
        BodyOutput {
            draws: report.can_draw() && place != Destination::Stdout,
            place,
            stop: stop.clone(),
            part: None,
            shown: terminal.then(|| TerminalEscaper::new(AllowedControls::Lines)),
            begun: false,
            fresh: true,
            stdout_written: false,
            bar: None,
            written: 0,
            #[cfg(target_os = "linux")]
            shortcut: super::splice::BodySplice::default(),
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&PathBuf> {
        match &self.place {
            Destination::Stdout => None,
            Destination::File(path) => Some(path),
        }
    }

    /// Stdout, where its reader may leave while we wait for the peer.
    pub fn stdout_pipe(&self) -> Option<BorrowedFd<'static>> {
        let stdout = rustix::stdio::stdout();
        let pipe = |fd| {
            fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
        };
        (self.place == Destination::Stdout && pipe(stdout)).then_some(stdout)
    }

    /// A body begins, at `start` of the file, towards `total` bytes if that is known; the file
    /// remembers `save`.
    pub fn begin(
        &mut self,
        start: Start<'_>,
        total: Option<u64>,
        save: Save,
    ) -> Result<(), Failure> {
        let at = if let Start::Behind(standing) = start { standing.length } else { 0 };
        (self.begun, self.fresh, self.written) = (true, true, at);
        if let Destination::File(path) = &self.place {
            self.part = Some(PartialFile::open(path, start, save, &self.stop)?);
        }
        if self.draws {
            self.bar = Some(Progress::new(total.map(|total| at + total)));
            self.draw();
        }
        Ok(())
    }

    /// Whether a body has begun.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Header lines for `-i`, or an answer as it came for `--raw`.
    pub fn verbatim(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stdout_written = true;
        match &mut self.shown {
            Some(shown) => {
                let mut text = shown.escape(bytes);
                text.extend(shown.finish());
                stdout::write_all_or_shutdown(&text, &self.stop)
            }
            None => stdout::write_all_or_shutdown(bytes, &self.stop),
        }
    }

    /// The next bytes of the body.
    ///
    /// Fails at [`Stage::File`] or [`Stage::Stdout`] with code 23, there also for a binary body
    /// on a terminal.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.written += bytes.len() as u64;
        if let Some(part) = &mut self.part {
            part.write(bytes)?;
            self.draw();
            return Ok(());
        }
        if std::mem::take(&mut self.fresh) && self.shown.is_some() && is_binary(bytes) {
            let why = "the body is binary, and stdout a terminal";
            return Err(Failure::new(Phase::Stdout, "-", why).with_hint("-o FILE saves it"));
        }
        self.stdout_written = true;
        match &mut self.shown {
            Some(shown) => stdout::write_all_or_shutdown(&shown.escape(bytes), &self.stop),
            None => stdout::write_all_or_shutdown(bytes, &self.stop),
        }
    }

    /// Lets the kernel move at most `most` bytes of body from the wire to where they go; none if
    /// it cannot.
    #[cfg(target_os = "linux")]
    pub fn splice_from(
        &mut self,
        wire: &mut HttpConnection<'_>,
        most: u64,
    ) -> Result<Option<Spliced>, Failure> {
        let to = match (&self.place, &self.part) {
            (Destination::File(_), Some(part)) => part.fd(),
            (Destination::Stdout, None) if self.shown.is_none() => rustix::stdio::stdout(),
            _ => return Ok(None),
        };
        let passed = self.shortcut.splice_from(wire, to, most, |e| match &self.part {
            Some(part) => part.failed(e),
            None => Failure::new(Phase::Stdout, "-", e),
        });
        if let Ok(Some(Spliced::Bytes(n))) = &passed {
            self.written += n;
            self.stdout_written |= self.part.is_none();
            self.draw();
        }
        passed
    }

    fn draw(&self) {
        if let Some(bar) = &self.bar {
            bar.set_position(self.written);
        }
    }

    fn end_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.end();
        }
    }

    /// The body is whole.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.end_bar();
        if let (Destination::Stdout, Some(shown)) = (&self.place, &mut self.shown) {
            stdout::write_all_or_shutdown(&shown.finish(), &self.stop)?;
        }
        self.part.take().map_or(Ok(()), PartialFile::finish)
    }

    /// The body broke off: a part stays, under its own name or, `as_target`, under the file's.
    /// Answers where it is, and whether a later run can go on there.
    pub fn keep_partial(&mut self, as_target: bool) -> Result<Option<(PathBuf, bool)>, Failure> {
        self.end_bar();
        let Some(part) = self.part.take() else { return Ok(None) };
        let goes_on = part.can_be_continued();
        Ok(part.keep_partial(as_target)?.map(|path| (path, goes_on)))
    }

    /// The body is complete, but not wanted.
    pub fn discard(&mut self) -> Result<(), Failure> {
        self.end_bar();
        self.part.take().map_or(Ok(()), PartialFile::discard)
    }
}
