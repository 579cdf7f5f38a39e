//! Collects lines of chunk framing and trailers from pieces of any size.
//!
//! A line ends with LF. The CR before it is optional in a head, because old servers omit it
//! (RFC 9112 §2.2), and required in chunk framing, where the two interpretations of a bare LF allow
//! response smuggling. A CR anywhere else and a NUL are refused in both.

use super::error::{Error, LENIENT};
use super::syntax::{Leniency, strip_line_end};

/// Collects one line at a time, of limited length.
#[derive(Debug, Default)]
pub struct LineReader {
    line: Vec<u8>,
}

impl LineReader {
    /// Takes bytes from `input` up to the end of a line; returns the line, with its end, when it is
    /// complete.
    ///
    /// `limit` counts the line with its end; `what` names the part in the error (63).
    pub fn next(
        &mut self,
        input: &mut &[u8],
        limit: usize,
        what: &str,
    ) -> Result<Option<Vec<u8>>, Error> {
        let end = input.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let count = end.unwrap_or(input.len());
        if self.line.len() + count > limit {
            return Err(Error::limit(format!("{what} longer than the limit of {limit} bytes")));
        }
        self.line.extend_from_slice(&input[..count]);
        *input = &input[count..];
        Ok(end.map(|_| std::mem::take(&mut self.line)))
    }

    /// Whether no byte of the line has been read.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }
}

/// Removes the end of a line of chunk framing; in strict mode a bare LF is an error.
pub fn strip_crlf(line: &[u8], leniency: Leniency) -> Result<&[u8], Error> {
    if leniency == Leniency::Strict && !line.ends_with(b"\r\n") {
        return Err(bare_lf());
    }
    strip_line_end(line)
}

/// The error of a line of chunk framing that ends without CR; `--lenient` accepts it.
pub fn bare_lf() -> Error {
    Error::protocol("bare LF in chunk framing").with_hint(LENIENT)
}
