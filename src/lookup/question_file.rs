//! A list of questions, read a line at a time while answers already come out.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::Path;

use crate::error::{Failure, Phase};

/// The most of a line that is kept: no name is longer, and the rest only makes it malformed.
const LONGEST: u64 = 4096;

/// The questions in a file, or in stdin for `-`. Blank lines and lines that begin with `#`
/// are none.
///
/// Fails with 26 when the file cannot be opened.
pub fn open(path: &Path) -> Result<Questions<BufReader<File>>, Failure> {
    let file = if path == Path::new("-") {
        io::stdin().as_fd().try_clone_to_owned().map(File::from)
    } else {
        File::open(path)
    };
    match file {
        Ok(file) => Ok(Questions(BufReader::new(file))),
        Err(error) => Err(unreadable(Some(path), error)),
    }
}

/// How many questions a list holds, if it is a file that stays as it is.
pub fn count(path: &Path) -> Option<u64> {
    let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|m| m.is_file()))?;
    Some(Questions(BufReader::new(file)).map_while(Result::ok).count() as u64)
}

/// A list that cannot be read: at its own stage, 26.
pub fn unreadable(path: Option<&Path>, error: io::Error) -> Failure {
    match path {
        Some(path) if path != Path::new("-") => Failure::new(Phase::File, path.display(), error),
        _ => Failure::new(Phase::Stdin, "-", error),
    }
}

/// The lines that ask something.
pub struct Questions<R>(R);

impl<R: BufRead> Iterator for Questions<R> {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<io::Result<String>> {
        loop {
            let line = match self.line() {
                Ok(line) if line.is_empty() => return None,
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            };
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if !text.is_empty() && !text.starts_with('#') {
                return Some(Ok(text.to_string()));
            }
        }
    }
}

impl<R: BufRead> Questions<R> {
    /// A line with its end; at the end of the list, nothing. What is too long is cut.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.0.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        let mut rest = Vec::new();
        let mut whole = line.len() < LONGEST as usize || line.ends_with(b"\n");
        while !whole {
            rest.clear();
            self.0.by_ref().take(LONGEST).read_until(b'\n', &mut rest)?;
            whole = rest.is_empty() || rest.ends_with(b"\n");
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        Questions(text.as_bytes()).map(Result::unwrap).collect()
    }

    #[test]
    fn blank_lines_and_remarks_ask_nothing() {
        assert_eq!(lines("a\r\n\n  # x\n b \n#\nc"), ["a", "b", "c"]);
        assert!(lines("").is_empty());
    }

    #[test]
    fn a_line_without_an_end_costs_no_memory_and_no_neighbour() {
        let found = lines(&format!("{}\nnext\n", "x".repeat(1_000_000)));
        assert_eq!((found.len(), found[0].len(), &*found[1]), (2, LONGEST as usize, "next"));
    }
}
