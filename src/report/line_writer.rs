//! Writing talk so that a pipe nobody reads can neither stop nor end us.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::error::Failure;
use crate::shutdown::poll_until;

/// How long one line waits for a full pipe before it is given up.
const PATIENCE: Duration = Duration::from_millis(200);
/// A pipe that reports room takes at least this much in one piece (pipe(7), `PIPE_BUF`).
const PIECE: usize = 4096;

/// A writer of whole lines that gives up on a stuck reader, counts what it dropped, and says
/// so once somebody reads again.
#[derive(Debug)]
pub struct LineWriter {
    out: Out,
    stuck: bool,
    dropped: u64,
    broken: bool,
}

#[derive(Debug)]
enum Out {
    Stderr,
    /// A file, and what the user calls it.
    File(File, String),
}

/// What became of a line.
enum WriteOutcome {
    Whole,
    Stuck,
    Failed(io::Error),
}

impl LineWriter {
    /// Talk on stderr.
    pub fn stderr() -> LineWriter {
        LineWriter { out: Out::Stderr, stuck: false, dropped: 0, broken: false }
    }

    /// Talk into the file called `name` (`--events`).
    pub fn file(file: File, name: String) -> LineWriter {
        LineWriter { out: Out::File(file, name), stuck: false, dropped: 0, broken: false }
    }

    /// Writes `text` and a line end, or drops both when the reader is stuck.
    ///
    /// Fails at [`Stage::File`] with 23, once, when a file cannot be written. On stderr that is
    /// no failure: there is nobody left to tell it to.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        if self.broken {
            return Ok(());
        }
        if self.dropped > 0 && self.is_writable() {
            let lost = format!("sockit: warning: {} lines were lost here\n", self.dropped);
            self.write(lost.as_bytes());
            self.dropped = 0;
        }
        let line = [text, "\n"].concat();
        match self.write(line.as_bytes()) {
            WriteOutcome::Whole => Ok(()),
            WriteOutcome::Stuck => {
                self.dropped += 1;
                Ok(())
            }
            WriteOutcome::Failed(e) => self.fail(e),
        }
    }

    /// Whether all lines found a reader. Fails like [`LineWriter::line`] when the last ones did not.
    pub fn end(&mut self) -> Result<(), Failure> {
        let dropped = std::mem::take(&mut self.dropped);
        match dropped {
            0 => Ok(()),
            _ => self.fail(io::Error::other(format!("{dropped} lines were not read in time"))),
        }
    }

    fn fail(&mut self, e: io::Error) -> Result<(), Failure> {
        let Out::File(_, name) = &self.out else { return Ok(()) };
        self.broken = true;
        // Whoever read the events has heard enough.
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
            match self.try_write(&bytes[..bytes.len().min(PIECE)]) {
                Ok(0) => return WriteOutcome::Failed(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return WriteOutcome::Failed(e),
            }
        }
        WriteOutcome::Whole
    }

    fn try_write(&mut self, piece: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            // The bare descriptor: std's handle would hold a lock while it blocks.
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

    /// Whether a line can be written without blocking; waits a little unless it is known stuck.
    fn is_writable(&mut self) -> bool {
        let patience = if self.stuck { Duration::ZERO } else { PATIENCE };
        let mut fds = [PollFd::from_borrowed_fd(self.fd(), PollFlags::OUT)];
        let ready = poll_until(&mut fds, Some(Instant::now() + patience));
        self.stuck = matches!(ready, Ok(0));
        !self.stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ExitCode, Phase};
    use std::io::Read;
    use std::os::fd::OwnedFd;

    #[test]
    fn a_pipe_nobody_reads_costs_lines_and_never_the_writer() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut talk = LineWriter::file(File::from(OwnedFd::from(writer)), "pipe".to_string());
        let line = "x".repeat(1000);
        let began = Instant::now();
        for _ in 0..500 {
            talk.line(&line).unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(talk.dropped > 0);

        let mut heard = vec![0; 1 << 20];
        let read = reader.read(&mut heard).unwrap();
        heard.truncate(read);
        talk.line("again").unwrap();
        drop(talk);
        reader.read_to_end(&mut heard).unwrap();
        let text = String::from_utf8(heard).unwrap();
        assert!(text.contains("lines were lost here") && text.ends_with("again\n"));
    }

    #[test]
    fn a_full_disk_is_told_once() {
        let full = File::options().append(true).open("/dev/full").unwrap();
        let mut talk = LineWriter::file(full, "/dev/full".to_string());
        let failure = talk.line("first").unwrap_err();
        assert_eq!((failure.stage, failure.code), (Phase::File, ExitCode::Write));
        assert!(talk.line("second").is_ok() && talk.end().is_ok());
    }
}
