//! The datagrams a client sends: texts from the command line, pieces of a file, or lines of stdin.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use super::stdin_lines::{NextDatagram, StdinLines};
use super::stdin_lines::{check_len, is_readable, read};
use crate::error::{Failure, Phase};
use crate::net::source::Source;
use crate::transfer::crlf::Crlf;

/// The datagrams to send, in order. None is longer than
/// [`MAX_UDP_PAYLOAD`](crate::datagram::MAX_UDP_PAYLOAD).
#[derive(Debug)]
pub enum DatagramSource {
    /// Texts.
    Texts(VecDeque<Vec<u8>>),
    /// Pieces of a file.
    File {
        /// The open file.
        file: Source<File>,
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
        let file = Source::new(file, None);
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
    let Some(n) = read(stdin, &mut buffer)? else { return Ok(NextDatagram::Pending) };
    buffer.truncate(n);
    Ok(if n == 0 {
        NextDatagram::End
    } else {
        NextDatagram::Datagram(filter.map(|crlf| crlf.apply(&buffer)).unwrap_or(buffer))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::MAX_UDP_PAYLOAD;
    use crate::error::ExitCode;

    fn stdin() -> BorrowedFd<'static> {
        rustix::stdio::stdin()
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
