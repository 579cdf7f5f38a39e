//! Writes log lines so that a pipe without a reader cannot block the run.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::error::Failure;
use crate::poll::poll_until;

/// How long a line waits for a full pipe before it is dropped.
const WRITE_TIMEOUT: Duration = Duration::from_millis(200);
/// A writable pipe takes at least this much in one call, in bytes (pipe(7), `PIPE_BUF`).
const MAX_WRITE: usize = 4096;

/// Writes complete lines, drops them while the reader is stuck, and reports their number once it
/// reads again.
#[derive(Debug)]
pub struct LineWriter {
    out: Out,
    is_stuck: bool,
    dropped: u64,
    has_failed: bool,
    /// The line that has been begun, without its end.
    begun: String,
}

#[derive(Debug)]
enum Out {
    Stderr,
    /// A file and its name.
    File(File, String),
}

/// The outcome of writing a line.
enum WriteOutcome {
    Complete,
    Stuck,
    Failed(io::Error),
}

impl LineWriter {
    /// Writes to stderr.
    pub fn stderr() -> LineWriter {
        LineWriter::new(Out::Stderr)
    }

    /// Writes to the file called `name` (`--events`).
    pub fn file(file: File, name: String) -> LineWriter {
        LineWriter::new(Out::File(file, name))
    }

    fn new(out: Out) -> LineWriter {
        let begun = String::new();
        LineWriter { out, is_stuck: false, dropped: 0, has_failed: false, begun }
    }

    /// Writes the beginning of a line: [`LineWriter::line`] completes it, or starts a new one.
    pub fn begin(&mut self, text: &str) {
        if matches!(self.write(text.as_bytes()), WriteOutcome::Complete) {
            self.begun = text.to_string();
        }
    }

    /// Writes `text` and a line end, or drops both when the reader is stuck.
    ///
    /// Fails at `Phase::File` with 23, once, when a file cannot be written. On stderr that is no
    /// failure: it could not be logged.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        if self.has_failed {
            return Ok(());
        }
        if self.dropped > 0 && self.is_writable() {
            let lost = format!("sockit: warning: {} lines were lost here\n", self.dropped);
            self.write(lost.as_bytes());
            self.dropped = 0;
        }
        let begun = std::mem::take(&mut self.begun);
        let (line_end, rest) = match text.strip_prefix(&*begun) {
            Some(rest) => ("", rest),
            None => ("\n", text),
        };
        let line = [line_end, rest, "\n"].concat();
        match self.write(line.as_bytes()) {
            WriteOutcome::Complete => Ok(()),
            WriteOutcome::Stuck => {
                self.dropped += 1;
                Ok(())
            }
            WriteOutcome::Failed(e) => self.fail(e),
        }
    }

    /// Ends the log. Fails like [`LineWriter::line`] when the last lines were dropped.
    pub fn end(&mut self) -> Result<(), Failure> {
        let dropped = std::mem::take(&mut self.dropped);
        match dropped {
            0 => Ok(()),
            _ => self.fail(io::Error::other(format!("{dropped} lines were not read in time"))),
        }
    }

    fn fail(&mut self, e: io::Error) -> Result<(), Failure> {
        let Out::File(_, name) = &self.out else { return Ok(()) };
        self.has_failed = true;
        // The reader of the events has closed, which is its choice.
        if e.kind() == io::ErrorKind::BrokenPipe {
            return Ok(());
        }
        Err(Failure::write_file(name, e))
    }

    fn write(&mut self, mut bytes: &[u8]) -> WriteOutcome {
        while !bytes.is_empty() {
            if !self.is_writable() {
                return WriteOutcome::Stuck;
            }
            match self.try_write(&bytes[..bytes.len().min(MAX_WRITE)]) {
                Ok(0) => return WriteOutcome::Failed(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return WriteOutcome::Failed(e),
            }
        }
        WriteOutcome::Complete
    }

    fn try_write(&mut self, piece: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            // Not by std's handle, which holds a lock while it blocks.
            Out::Stderr => Ok(rustix::io::write(rustix::stdio::stderr(), piece)?),
            Out::File(file, _) => file.write(piece),
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.out {
            Out::Stderr => rustix::stdio::stderr(),
            Out::File(file, _) => file.as_fd(),
        }
    }

    /// Whether a write does not block; waits for [`WRITE_TIMEOUT`] unless the reader is stuck.
    fn is_writable(&mut self) -> bool {
        let timeout = if self.is_stuck { Duration::ZERO } else { WRITE_TIMEOUT };
        let mut fds = [PollFd::from_borrowed_fd(self.fd(), PollFlags::OUT)];
        let ready = poll_until(&mut fds, Some(Instant::now() + timeout));
        self.is_stuck = matches!(ready, Ok(0));
        !self.is_stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ExitCode, Phase};
    use std::io::Read;
    use std::os::fd::OwnedFd;

    #[test]
    fn pipe_without_reader_drops_lines_and_never_blocks() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut log = LineWriter::file(File::from(OwnedFd::from(writer)), "pipe".to_string());
        let line = "x".repeat(1000);
        let began = Instant::now();
        for _ in 0..500 {
            log.line(&line).unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(log.dropped > 0);

        let mut read_back = vec![0; 1 << 20];
        let read = reader.read(&mut read_back).unwrap();
        read_back.truncate(read);
        log.line("again").unwrap();
        drop(log);
        reader.read_to_end(&mut read_back).unwrap();
        let text = String::from_utf8(read_back).unwrap();
        assert!(text.contains("lines were lost here") && text.ends_with("again\n"));
    }

    #[test]
    fn full_disk_fails_once() {
        let full = File::options().append(true).open("/dev/full").unwrap();
        let mut log = LineWriter::file(full, "/dev/full".to_string());
        let failure = log.line("first").unwrap_err();
        assert_eq!((failure.phase, failure.code), (Phase::File, ExitCode::Write));
        assert!(log.line("second").is_ok() && log.end().is_ok());
    }
}
