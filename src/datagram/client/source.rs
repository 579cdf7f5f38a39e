//! The datagrams a client sends: texts from the command line, pieces of a file, or lines of stdin.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::datagram::MAX_UDP_PAYLOAD;
use crate::error::{Failure, Phase};
use crate::net::source;
use crate::shutdown::poll_until;
use crate::transfer::crlf::Crlf;

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

/// The datagrams to send, in order. None is longer than [`MAX_UDP_PAYLOAD`].
#[derive(Debug)]
pub enum DatagramSource {
    /// Texts.
    Texts(VecDeque<Vec<u8>>),
    /// Pieces of a file.
    File {
        /// The open file.
        file: source::Source<File>,
        /// Its name, for errors.
        path: PathBuf,
        /// Bytes of each piece.
        size: usize,
    },
    /// Lines of stdin, without their line ends.
    StdinLines(StdinLines),
    /// What each read of stdin returns, changed by a filter.
    StdinReads(BorrowedFd<'static>, Option<Crlf>),
}

/// Bytes of one read of [`DatagramSource::StdinReads`], as in nc.openbsd.
const MAX_READ: usize = 16 << 10;

impl DatagramSource {
    /// The file `input` in pieces of `size` bytes (`-` is `stdin`), or `texts`, or without either
    /// the lines of `stdin`.
    ///
    /// Fails with code 2 if a datagram is too long, and with 26 if the file cannot be opened.
    pub fn open(
        input: Option<&Path>,
        size: usize,
        texts: Vec<Vec<u8>>,
        stdin: BorrowedFd<'static>,
    ) -> Result<DatagramSource, Failure> {
        if let Some(path) = input {
            return DatagramSource::file(path, size, stdin);
        }
        if texts.is_empty() {
            return Ok(DatagramSource::StdinLines(StdinLines::new(stdin)));
        }
        texts.iter().try_for_each(|text| check_len(text.len(), "--send"))?;
        Ok(DatagramSource::Texts(texts.into()))
    }

    fn file(path: &Path, size: usize, stdin: BorrowedFd<'_>) -> Result<DatagramSource, Failure> {
        check_len(size, "--size")?;
        let opened = if path.as_os_str() == "-" {
            stdin.try_clone_to_owned().map(File::from)
        } else {
            File::open(path)
        };
        let file = opened.map_err(|e| Failure::new(Phase::File, path.display(), e))?;
        let file = source::Source::new(file, None);
        Ok(DatagramSource::File { file, path: path.to_path_buf(), size })
    }

    /// Standard input, if the next datagram may depend on it becoming readable.
    pub fn awaited_stdin(&self) -> Option<BorrowedFd<'static>> {
        match self {
            DatagramSource::StdinLines(lines) => Some(lines.stdin),
            DatagramSource::StdinReads(stdin, _) => Some(*stdin),
            _ => None,
        }
    }

    /// Returns the next datagram, without waiting for stdin.
    ///
    /// Fails at [`Phase::Stdin`] or [`Phase::File`], and with code 2 on a line that is too long.
    pub fn next_datagram(&mut self) -> Result<NextDatagram, Failure> {
        match self {
            DatagramSource::Texts(texts) => {
                Ok(texts.pop_front().map_or(NextDatagram::End, NextDatagram::Datagram))
            }
            DatagramSource::File { file, path, size } => {
                let mut piece = Vec::with_capacity(*size);
                let read = file.take(*size as u64).read_to_end(&mut piece);
                read.map_err(|e| Failure::new(Phase::File, path.display(), e))?;
                Ok(if piece.is_empty() { NextDatagram::End } else { NextDatagram::Datagram(piece) })
            }
            DatagramSource::StdinLines(lines) => lines.next_line(),
            DatagramSource::StdinReads(stdin, _) if !is_readable(*stdin, Duration::ZERO) => {
                Ok(NextDatagram::Pending)
            }
            DatagramSource::StdinReads(stdin, filter) => read_datagram(*stdin, filter.as_mut()),
        }
    }
}

fn read_datagram(
    stdin: BorrowedFd<'_>,
    filter: Option<&mut Crlf>,
) -> Result<NextDatagram, Failure> {
    let mut buffer = vec![0; MAX_READ];
    match rustix::io::read(stdin, &mut buffer) {
        Ok(0) => Ok(NextDatagram::End),
        Ok(n) => {
            buffer.truncate(n);
            Ok(NextDatagram::Datagram(filter.map(|crlf| crlf.apply(&buffer)).unwrap_or(buffer)))
        }
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(NextDatagram::Pending),
        Err(e) => Err(Failure::new(Phase::Stdin, "-", io::Error::from(e))),
    }
}

fn check_len(len: usize, what: &str) -> Result<(), Failure> {
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

/// Splits stdin into lines.
#[derive(Debug)]
pub struct StdinLines {
    stdin: BorrowedFd<'static>,
    buffer: VecDeque<u8>,
    /// How many bytes of the buffer are known to have no line end.
    searched: usize,
    read_ahead: bool,
    eof: bool,
}

impl StdinLines {
    fn new(stdin: BorrowedFd<'static>) -> StdinLines {
        StdinLines { stdin, buffer: VecDeque::new(), searched: 0, read_ahead: false, eof: false }
    }

    fn next_line(&mut self) -> Result<NextDatagram, Failure> {
        if !self.read_ahead && self.is_readable(Duration::ZERO) {
            self.check_ahead()?;
        }
        if let Some(line) = self.split_line()? {
            return Ok(NextDatagram::Datagram(line));
        }
        if !self.eof && self.is_readable(Duration::ZERO) {
            self.read()?;
            if let Some(line) = self.split_line()? {
                return Ok(NextDatagram::Datagram(line));
            }
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
        while !self.eof && self.buffer.len() < MAX_READ_AHEAD && self.is_readable(self.max_pause())
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
        match rustix::io::read(self.stdin, &mut buffer) {
            Ok(0) => self.eof = true,
            Ok(n) => self.buffer.extend(&buffer[..n]),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(e) => return Err(Failure::new(Phase::Stdin, "-", io::Error::from(e))),
        }
        Ok(())
    }

    fn is_readable(&self, timeout: Duration) -> bool {
        is_readable(self.stdin, timeout)
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

fn is_readable(stdin: BorrowedFd<'_>, timeout: Duration) -> bool {
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
    use crate::error::ExitCode;

    fn stdin() -> BorrowedFd<'static> {
        rustix::stdio::stdin()
    }

    fn lines(text: &[u8]) -> Vec<NextDatagram> {
        let buffer = text.iter().copied().collect();
        let mut lines =
            StdinLines { buffer, read_ahead: true, eof: true, ..StdinLines::new(stdin()) };
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

    #[test]
    fn file_that_shrinks_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "abcd").unwrap();
        let mut source = DatagramSource::open(Some(file.path()), 2, Vec::new(), stdin()).unwrap();
        assert_eq!(source.next_datagram().unwrap(), NextDatagram::Datagram(b"ab".to_vec()));
        file.as_file().set_len(2).unwrap();
        assert_eq!(source.next_datagram().unwrap_err().code, ExitCode::Read);
    }

    #[test]
    fn unusable_source_fails_before_the_first_datagram() {
        let texts = |texts: &[usize]| {
            let texts = texts.iter().map(|len| vec![0; *len]).collect();
            DatagramSource::open(None, 1, texts, stdin())
        };
        assert_eq!(texts(&[4, MAX_UDP_PAYLOAD + 1]).unwrap_err().code, ExitCode::Usage);
        assert!(texts(&[MAX_UDP_PAYLOAD]).is_ok());
        let missing =
            DatagramSource::open(Some(Path::new("/no/such/file")), 100, Vec::new(), stdin());
        assert_eq!(missing.unwrap_err().code, ExitCode::Read);
    }
}
