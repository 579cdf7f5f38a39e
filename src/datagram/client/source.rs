//! Where a client's datagrams come from: words on the command line, a file in pieces, or stdin's
//! lines.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::datagram::MAX_UDP_PAYLOAD;
use crate::error::{Failure, Phase};
use crate::net::stdio;
use crate::shutdown::poll_until;

/// How much of stdin is looked at before the first datagram is sent, and how long a writer may
/// pause meanwhile: between lines, and within one.
const AHEAD: usize = 1 << 20;
const LULL: Duration = Duration::from_millis(10);
const LULL_INSIDE: Duration = Duration::from_millis(200);

/// What there is to send just now.
#[derive(Debug, PartialEq, Eq)]
pub enum NextDatagram {
    /// A datagram.
    Datagram(Vec<u8>),
    /// Nothing, until stdin has more.
    Later,
    /// Nothing any more.
    End,
}

/// Datagrams to be sent, in order. None is longer than [`LONGEST`].
#[derive(Debug)]
pub enum Source {
    /// Known from the beginning.
    Known(VecDeque<Vec<u8>>),
    /// Pieces of a file, of so many bytes each.
    Pieces(stdio::Source<File>, PathBuf, usize),
    /// Lines of stdin.
    StdinLines(StdinLines),
}

impl Source {
    /// These datagrams. Fails with code 2 when one is too long.
    pub fn known(texts: &[Vec<u8>]) -> Result<Source, Failure> {
        texts.iter().try_for_each(|text| check(text.len(), "--send"))?;
        Ok(Source::Known(texts.iter().cloned().collect()))
    }

    /// The file in pieces of `size` bytes, the last of which may be shorter; `-` is stdin.
    ///
    /// Fails with code 2 when the size is too large, 26 when there is no such file.
    pub fn pieces(path: &Path, size: usize) -> Result<Source, Failure> {
        check(size, "--size")?;
        let opened = match path.as_os_str() == "-" {
            true => rustix::stdio::stdin().try_clone_to_owned().map(File::from),
            false => File::open(path),
        };
        let file = opened.map_err(|e| Failure::new(Phase::File, path.display(), e))?;
        let file = stdio::Source::new(file, None);
        Ok(Source::Pieces(file, path.to_path_buf(), size))
    }

    /// The lines of stdin, without their line ends.
    pub fn lines() -> Source {
        Source::StdinLines(StdinLines::default())
    }

    /// Whether more can only come when stdin is readable.
    pub fn waits_for_stdin(&self) -> bool {
        matches!(self, Source::StdinLines(_))
    }

    /// What is next, without waiting.
    ///
    /// Fails at [`Stage::Stdin`] or [`Stage::File`], and with code 2 on a line that is too long.
    pub fn advance(&mut self) -> Result<NextDatagram, Failure> {
        match self {
            Source::Known(texts) => {
                Ok(texts.pop_front().map_or(NextDatagram::End, NextDatagram::Datagram))
            }
            Source::Pieces(file, path, size) => {
                let mut piece = Vec::with_capacity(*size);
                let read = file.take(*size as u64).read_to_end(&mut piece);
                read.map_err(|e| Failure::new(Phase::File, path.display(), e))?;
                Ok(if piece.is_empty() { NextDatagram::End } else { NextDatagram::Datagram(piece) })
            }
            Source::StdinLines(lines) => lines.advance(),
        }
    }
}

fn check(length: usize, what: &str) -> Result<(), Failure> {
    if length <= MAX_UDP_PAYLOAD {
        return Ok(());
    }
    let why = format!("{length} bytes; a datagram carries at most {MAX_UDP_PAYLOAD}");
    let failure = Failure::usage(Phase::Send, what, why);
    Err(match what {
        "stdin" => failure.with_hint("--input - sends stdin in pieces, whatever its lines are"),
        _ => failure,
    })
}

/// stdin, cut into lines.
#[derive(Debug, Default)]
pub struct StdinLines {
    held: VecDeque<u8>,
    /// How much of it is known to have no line end.
    searched: usize,
    looked_ahead: bool,
    ended: bool,
}

impl StdinLines {
    fn advance(&mut self) -> Result<NextDatagram, Failure> {
        if !self.looked_ahead && is_readable(Duration::ZERO) {
            self.peek()?;
        }
        if let Some(line) = self.split_chunk()? {
            return Ok(NextDatagram::Datagram(line));
        }
        if !self.ended && is_readable(Duration::ZERO) {
            self.read()?;
            if let Some(line) = self.split_chunk()? {
                return Ok(NextDatagram::Datagram(line));
            }
        }
        match (self.ended, self.held.is_empty()) {
            (false, _) => Ok(NextDatagram::Later),
            (true, true) => Ok(NextDatagram::End),
            (true, false) => {
                self.searched = 0;
                check(self.held.len(), "stdin")?;
                Ok(NextDatagram::Datagram(self.held.drain(..).collect()))
            }
        }
    }

    /// What comes first and without a pause is read before anything is sent, so that a line that is
    /// too long is refused and not preceded by half a conversation.
    fn peek(&mut self) -> Result<(), Failure> {
        self.looked_ahead = true;
        while !self.ended && self.held.len() < AHEAD && is_readable(self.pause()) {
            self.read()?;
        }
        let lines = self.held.make_contiguous();
        let longest = lines.split(|byte| *byte == b'\n').map(|line| trim_cr(line).len()).max();
        check(longest.unwrap_or(0), "stdin")
    }

    fn pause(&self) -> Duration {
        match self.held.back() {
            Some(b'\n') | None => LULL,
            Some(_) => LULL_INSIDE,
        }
    }

    fn read(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 64 << 10];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(0) => self.ended = true,
            Ok(n) => self.held.extend(&buffer[..n]),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(e) => return Err(Failure::new(Phase::Stdin, "-", io::Error::from(e))),
        }
        Ok(())
    }

    /// The first line that is whole.
    fn split_chunk(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let end = self.held.iter().skip(self.searched).position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| end + self.searched) else {
            self.searched = self.held.len();
            // One more for a CR whose LF is still to come.
            return check(self.held.len().saturating_sub(1), "stdin").map(|()| None);
        };
        self.searched = 0;
        let line: Vec<u8> = self.held.drain(..=end).collect();
        let line = trim_cr(&line[..end]);
        check(line.len(), "stdin")?;
        Ok(Some(line.to_vec()))
    }
}

/// A line without the CR of its CR LF.
fn trim_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn is_readable(patience: Duration) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN)];
    matches!(poll_until(&mut fds, Some(Instant::now() + patience)), Ok(1..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    fn lines(text: &[u8]) -> Vec<NextDatagram> {
        let held = text.iter().copied().collect();
        let mut lines =
            StdinLines { held, looked_ahead: true, ended: true, ..StdinLines::default() };
        let mut all = Vec::new();
        while let Ok(next) = lines.advance() {
            if next == NextDatagram::End {
                break;
            }
            all.push(next);
        }
        all
    }

    #[test]
    fn lines_lose_their_ends_and_empty_ones_count() {
        let expected = ["a", "", "b\r", "c"].map(|line| NextDatagram::Datagram(line.into()));
        assert_eq!(lines(b"a\r\n\nb\r\r\nc"), expected);
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"\n"), [NextDatagram::Datagram(Vec::new())]);
    }

    #[test]
    fn a_line_that_no_datagram_carries_is_refused() {
        let line = [vec![b'a'; MAX_UDP_PAYLOAD], b"\r\n".to_vec()].concat();
        assert_eq!(lines(&line).len(), 1);
        assert_eq!(lines(&[b"a".to_vec(), line].concat()), []);
    }

    #[test]
    fn file_that_shrinks_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "abcd").unwrap();
        let mut source = Source::pieces(file.path(), 2).unwrap();
        assert_eq!(source.advance().unwrap(), NextDatagram::Datagram(b"ab".to_vec()));
        file.as_file().set_len(2).unwrap();
        assert_eq!(source.advance().unwrap_err().code, ExitCode::Read);
    }

    #[test]
    fn what_cannot_be_sent_is_known_before_the_first() {
        let too_long = Source::known(&[b"fine".to_vec(), vec![0; MAX_UDP_PAYLOAD + 1]]);
        assert_eq!(too_long.unwrap_err().code, ExitCode::Usage);
        assert!(Source::known(&[vec![0; MAX_UDP_PAYLOAD]]).is_ok());
        let missing = Source::pieces(Path::new("/no/such/file"), 100);
        assert_eq!(missing.unwrap_err().code, ExitCode::Read);
    }
}
