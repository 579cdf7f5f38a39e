//! Questions from a file, read line by line while earlier ones are answered.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::error::{Failure, Phase};

/// The maximum length, in bytes, that is kept of a line; a longer one is malformed in any case.
const MAX_LINE_LEN: u64 = 4096;

/// Precedes the text in files of some editors; no part of a name.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Opens a file of questions, or `stdin` for `-`. Blank lines and lines that begin with `#` are
/// skipped.
///
/// Fails with 26 if the file cannot be opened.
pub fn open(
    path: &Path,
    stdin: BorrowedFd<'_>,
) -> Result<QuestionReader<BufReader<File>>, Failure> {
    let file = if path == Path::new("-") {
        stdin.try_clone_to_owned().map(File::from)
    } else {
        File::open(path)
    };
    match file {
        Ok(file) => Ok(QuestionReader(BufReader::new(file))),
        Err(error) => Err(read_error(Some(path), error)),
    }
}

/// Counts the questions of a regular file; `None` for any other.
pub fn count(path: &Path) -> Option<u64> {
    let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|m| m.is_file()))?;
    Some(QuestionReader(BufReader::new(file)).map_while(Result::ok).count() as u64)
}

/// Converts a read error: exit code 26 at [`Phase::File`], or at [`Phase::Stdin`].
pub fn read_error(path: Option<&Path>, error: io::Error) -> Failure {
    match path {
        Some(path) if path != Path::new("-") => Failure::new(Phase::File, path.display(), error),
        _ => Failure::new(Phase::Stdin, "-", error),
    }
}

/// The questions of a file.
pub struct QuestionReader<R>(R);

impl<R: BufRead> Iterator for QuestionReader<R> {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<io::Result<String>> {
        loop {
            let line = match self.read_line() {
                Ok(line) if line.is_empty() => return None,
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            };
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_start_matches(BYTE_ORDER_MARK).trim();
            if !text.is_empty() && !text.starts_with('#') {
                return Some(Ok(text.to_string()));
            }
        }
    }
}

impl<R: BufRead> QuestionReader<R> {
    /// Reads a line with its line end, truncated to the maximum length; empty at the end of the file.
    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.0.by_ref().take(MAX_LINE_LEN).read_until(b'\n', &mut line)?;
        let mut rest = Vec::new();
        let mut is_complete = line.len() < MAX_LINE_LEN as usize || line.ends_with(b"\n");
        while !is_complete {
            rest.clear();
            self.0.by_ref().take(MAX_LINE_LEN).read_until(b'\n', &mut rest)?;
            is_complete = rest.is_empty() || rest.ends_with(b"\n");
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        QuestionReader(text.as_bytes()).map(Result::unwrap).collect()
    }

    #[test]
    fn blank_lines_and_comments_are_skipped() {
        assert_eq!(lines("a\r\n\n  # x\n b \n#\nc"), ["a", "b", "c"]);
        assert_eq!(lines("\u{feff}a\nb"), ["a", "b"]);
        assert_eq!(lines("\u{feff}# x\nb"), ["b"]);
        assert!(lines("").is_empty());
    }

    #[test]
    fn long_line_is_truncated_and_next_line_is_kept() {
        let found = lines(&format!("{}\nnext\n", "x".repeat(1_000_000)));
        assert_eq!((found.len(), found[0].len(), &*found[1]), (2, MAX_LINE_LEN as usize, "next"));
    }
}
