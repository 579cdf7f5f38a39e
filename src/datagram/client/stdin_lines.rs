//! Lines of stdin as datagrams.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::datagram::MAX_UDP_PAYLOAD;
use crate::error::{Failure, Phase};
use crate::poll::poll_until;

/// How many bytes of stdin are checked before the first datagram is sent, and how long a writer may
/// pause meanwhile: between lines, and within a line.
const MAX_READ_AHEAD: usize = 1 << 20;
const MAX_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE_IN_LINE: Duration = Duration::from_millis(200);

/// The next datagram to send.
#[derive(Debug, PartialEq, Eq)]
pub enum NextDatagram {
    /// A payload.
    Datagram(Vec<u8>),
    /// None until stdin is readable.
    Pending,
    /// None any more.
    End,
}

/// Splits stdin into lines.
#[derive(Debug)]
pub struct StdinLines {
    /// Standard input.
    pub stdin: BorrowedFd<'static>,
    buffer: VecDeque<u8>,
    /// How many bytes of the buffer are known to have no line end.
    searched: usize,
    read_ahead: bool,
    eof: bool,
}

impl StdinLines {
    /// At the start of `stdin`.
    pub fn new(stdin: BorrowedFd<'static>) -> StdinLines {
        StdinLines { stdin, buffer: VecDeque::new(), searched: 0, read_ahead: false, eof: false }
    }

    /// Returns the next line, without waiting.
    ///
    /// Fails at [`Phase::Stdin`], and with code 2 on a line that is too long.
    pub fn next_line(&mut self) -> Result<NextDatagram, Failure> {
        if !self.read_ahead && is_readable(self.stdin, Duration::ZERO) {
            self.check_ahead()?;
        }
        let mut line = self.split_line()?;
        if line.is_none() && !self.eof && is_readable(self.stdin, Duration::ZERO) {
            self.read()?;
            line = self.split_line()?;
        }
        if let Some(line) = line {
            return Ok(NextDatagram::Datagram(line));
        }
        if !self.eof {
            return Ok(NextDatagram::Pending);
        }
        if self.buffer.is_empty() {
            return Ok(NextDatagram::End);
        }
        self.searched = 0;
        check_len(self.buffer.len(), "stdin")?;
        Ok(NextDatagram::Datagram(self.buffer.drain(..).collect()))
    }

    /// Reads what is written to stdin without a pause, so that a line that is too long fails before
    /// anything is sent.
    fn check_ahead(&mut self) -> Result<(), Failure> {
        self.read_ahead = true;
        while !self.eof
            && self.buffer.len() < MAX_READ_AHEAD
            && is_readable(self.stdin, self.max_pause())
        {
            self.read()?;
        }
        let lines = self.buffer.make_contiguous();
        let longest = lines.split(|byte| *byte == b'\n').map(|line| trim_cr(line).len()).max();
        check_len(longest.unwrap_or(0), "stdin")
    }

    fn max_pause(&self) -> Duration {
        match self.buffer.back() {
            Some(b'\n') | None => MAX_PAUSE,
            Some(_) => MAX_PAUSE_IN_LINE,
        }
    }

    fn read(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 64 << 10];
        let n = read(self.stdin, &mut buffer)?;
        self.eof = n == Some(0);
        self.buffer.extend(&buffer[..n.unwrap_or(0)]);
        Ok(())
    }

    /// Takes the first complete line from the buffer.
    fn split_line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let end = self.buffer.iter().skip(self.searched).position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| end + self.searched) else {
            self.searched = self.buffer.len();
            // One byte more, for a CR whose LF is not read yet.
            return check_len(self.buffer.len().saturating_sub(1), "stdin").map(|()| None);
        };
        self.searched = 0;
        let line: Vec<u8> = self.buffer.drain(..=end).collect();
        let line = trim_cr(&line[..end]);
        check_len(line.len(), "stdin")?;
        Ok(Some(line.to_vec()))
    }
}

/// Reads what there is; `None` if there is nothing yet. Fails at [`Phase::Stdin`].
pub fn read(stdin: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Option<usize>, Failure> {
    match rustix::io::read(stdin, buffer) {
        Ok(n) => Ok(Some(n)),
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(None),
        Err(e) => Err(Failure::new(Phase::Stdin, "-", io::Error::from(e))),
    }
}

/// Fails with code 2 if a datagram of `len` bytes is too long; `what` is where it comes from.
pub fn check_len(len: usize, what: &str) -> Result<(), Failure> {
    if len <= MAX_UDP_PAYLOAD {
        return Ok(());
    }
    let why = format!("{len} bytes; a datagram holds at most {MAX_UDP_PAYLOAD}");
    let failure = Failure::usage(Phase::Send, what, why);
    Err(match what {
        "stdin" => failure.with_hint("--input - sends stdin in pieces instead of lines"),
        _ => failure,
    })
}

/// Whether a read of `stdin` returns something within `timeout`.
pub fn is_readable(stdin: BorrowedFd<'_>, timeout: Duration) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(stdin, PollFlags::IN)];
    matches!(poll_until(&mut fds, Some(Instant::now() + timeout)), Ok(1..))
}

/// A line without the CR of its CR LF.
fn trim_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<NextDatagram> {
        let buffer = text.iter().copied().collect();
        let mut lines = StdinLines {
            buffer,
            read_ahead: true,
            eof: true,
            ..StdinLines::new(rustix::stdio::stdin())
        };
        let mut all = Vec::new();
        while let Ok(next) = lines.next_line() {
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
    fn line_longer_than_a_datagram_fails() {
        let line = [vec![b'a'; MAX_UDP_PAYLOAD], b"\r\n".to_vec()].concat();
        assert_eq!(lines(&line).len(), 1);
        assert_eq!(lines(&[b"a".to_vec(), line].concat()), []);
    }
}
