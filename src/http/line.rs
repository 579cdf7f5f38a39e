//! Lines of a head, a chunk's frame or a trailer, gathered from pieces of any size.
//!
//! A line ends at LF. The CR before it is optional in a head, because old servers leave it
//! out (RFC 9112 §2.2), and required in chunk framing, where the two readings of a bare LF are
//! how answers are smuggled. A CR anywhere else and a NUL are refused in both.

use super::error::{Error, LENIENT};
use super::syntax::{Leniency, quote};

/// Gathers one line at a time; holds at most the limit.
#[derive(Debug, Default)]
pub struct LineReader {
    held: Vec<u8>,
}

impl LineReader {
    /// Takes bytes from `input` up to the end of the line. Answers true when the line is whole:
    /// [`LineReader::text`] is it, until [`LineReader::clear`].
    ///
    /// `limit` counts the line with its end; `what` names the part in the error (63).
    pub fn push(&mut self, input: &mut &[u8], limit: usize, what: &str) -> Result<bool, Error> {
        let end = input.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let piece = end.unwrap_or(input.len());
        if self.held.len() + piece > limit {
            return Err(Error::limit(format!("{what} longer than the limit of {limit} bytes")));
        }
        self.held.extend_from_slice(&input[..piece]);
        *input = &input[piece..];
        Ok(end.is_some())
    }

    /// Whether nothing of a next line has come.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How many bytes are held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// The whole line without its end, checked; strictly read, a bare LF is no line end.
    pub fn text(&self, leniency: Leniency) -> Result<&[u8], Error> {
        if leniency == Leniency::Strict && !self.held.ends_with(b"\r\n") {
            return Err(bare_lf());
        }
        strip_line_end(&self.held)
    }

    /// Makes room for the next line.
    pub fn clear(&mut self) {
        self.held.clear();
    }
}

/// A line of chunk framing that ends without a CR; `--lenient` accepts it.
pub fn bare_lf() -> Error {
    Error::protocol("bare LF in chunk framing").with_hint(LENIENT)
}

/// A line without its end, checked for the bytes no line may hold (8).
pub fn strip_line_end(line: &[u8]) -> Result<&[u8], Error> {
    let text = match line {
        [text @ .., b'\r', b'\n'] => text,
        [text @ .., b'\n'] => text,
        text => text,
    };
    match text.iter().find(|byte| matches!(byte, 0 | b'\r')) {
        Some(0) => Err(Error::protocol(format!("NUL in {}", quote(text)))),
        Some(_) => Err(Error::protocol(format!("bare CR in {}", quote(text)))),
        None => Ok(text),
    }
}
