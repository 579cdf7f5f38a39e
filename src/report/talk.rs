//! Writing talk so that a pipe nobody reads can neither stop nor end us.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::stop::poll_until;

/// How long one line waits for a full pipe before it is given up.
const PATIENCE: Duration = Duration::from_millis(200);
/// A pipe that reports room takes at least this much in one piece (pipe(7), `PIPE_BUF`).
const PIECE: usize = 4096;

/// A writer of whole lines that gives up on a stuck reader, counts what it dropped, and says
/// so once somebody reads again.
#[derive(Debug)]
pub struct Talk {
    out: Out,
    stuck: bool,
    dropped: u64,
}

#[derive(Debug)]
enum Out {
    Stderr,
    File(File),
}

impl Talk {
    /// Talk on stderr.
    pub fn stderr() -> Talk {
        Talk { out: Out::Stderr, stuck: false, dropped: 0 }
    }

    /// Talk into a file (`--events`).
    pub fn file(file: File) -> Talk {
        Talk { out: Out::File(file), stuck: false, dropped: 0 }
    }

    /// Writes `text` and a line end, or drops both. Errors are dropped too: there is nobody
    /// left to tell them to.
    pub fn line(&mut self, text: &str) {
        if self.dropped > 0 && self.has_room() {
            let lost = format!("sockit: warning: {} lines were lost here\n", self.dropped);
            self.write(lost.as_bytes());
            self.dropped = 0;
        }
        let line = [text, "\n"].concat();
        if !self.write(line.as_bytes()) {
            self.dropped += 1;
        }
    }

    fn write(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if !self.has_room() {
                return false;
            }
            match self.put(&bytes[..bytes.len().min(PIECE)]) {
                Ok(0) => return true,
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
        true
    }

    fn put(&mut self, piece: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            // The bare descriptor: std's handle would hold a lock while it blocks.
            Out::Stderr => Ok(rustix::io::write(rustix::stdio::stderr(), piece)?),
            Out::File(file) => file.write(piece),
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.out {
            Out::Stderr => rustix::stdio::stderr(),
            Out::File(file) => file.as_fd(),
        }
    }

    /// Whether a line can be written without blocking; waits a little unless it is known stuck.
    fn has_room(&mut self) -> bool {
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
    use std::io::Read;
    use std::os::fd::OwnedFd;

    #[test]
    fn a_pipe_nobody_reads_costs_lines_and_never_the_writer() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut talk = Talk::file(File::from(OwnedFd::from(writer)));
        let line = "x".repeat(1000);
        let began = Instant::now();
        for _ in 0..500 {
            talk.line(&line);
        }
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(talk.dropped > 0);

        let mut heard = vec![0; 1 << 20];
        let read = reader.read(&mut heard).unwrap();
        heard.truncate(read);
        talk.line("again");
        drop(talk);
        reader.read_to_end(&mut heard).unwrap();
        let text = String::from_utf8(heard).unwrap();
        assert!(text.contains("lines were lost here") && text.ends_with("again\n"));
    }
}
