//! Gathers a head from pieces of any size, up to its blank line.
//!
//! Whatever is wrong with a line is told when the line is whole, and another protocol at its
//! first wrong byte, so that nobody waits for the end of what is no head.

use super::error::Error;
use super::head::Head;
use super::header_fields::{parse, status_line};
use super::line::strip_line_end;
use super::syntax::Leniency;

/// Empty lines that may precede a status line; some servers end a former body with one too many.
const BLANKS: usize = 4;
/// Header lines in one head.
const FIELDS: usize = 1000;
/// What every answer of HTTP/1 begins with.
const PREFIX: &[u8] = b"HTTP/";

/// What came of one look at the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadStatus {
    /// The head goes on.
    Incomplete,
    /// The blank line came.
    Complete,
    /// What came is no status line of HTTP.
    NotHttp,
}

/// Gathers a head from pieces of any size.
#[derive(Debug)]
pub struct HeadReader {
    raw: Vec<u8>,
    /// Where the status line begins, behind empty lines.
    start: usize,
    /// Where the unfinished line begins.
    line: usize,
    blanks: usize,
    lines: usize,
    max_bytes: usize,
    leniency: Leniency,
}

impl HeadReader {
    /// A gatherer that holds at most `max_bytes`.
    pub fn new(max_bytes: usize, leniency: Leniency) -> HeadReader {
        let raw = Vec::new();
        HeadReader { raw, start: 0, line: 0, blanks: 0, lines: 0, max_bytes, leniency }
    }

    /// Whether not one byte has come.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Whether what came is enough to know it for HTTP.
    pub fn is_known(&self) -> bool {
        self.raw.len() - self.start >= PREFIX.len()
    }

    /// How many bytes of this head have come.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Takes what `input` has up to the blank line.
    ///
    /// Refuses a NUL or a stray CR (8) as soon as its line is whole, a wrong status line too, and
    /// a head over its limits (63).
    pub fn push(&mut self, input: &mut &[u8]) -> Result<HeadStatus, Error> {
        while !input.is_empty() {
            let end = input.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let room = self.max_bytes - self.raw.len();
            let piece = end.unwrap_or(input.len()).min(room);
            self.raw.extend_from_slice(&input[..piece]);
            let over = end.unwrap_or(input.len()) > room;
            *input = &input[piece..];
            if self.is_alien() {
                return Ok(HeadStatus::NotHttp);
            }
            if over {
                let limit = self.max_bytes;
                return Err(Error::limit(format!("header larger than the limit of {limit} bytes")));
            }
            if end.is_some() && self.line_ended()? {
                return Ok(HeadStatus::Complete);
            }
        }
        Ok(HeadStatus::Incomplete)
    }

    /// Whether what came cannot become `HTTP/`.
    fn is_alien(&self) -> bool {
        let mut came = &self.raw[self.start..];
        if came.starts_with(b"\r") {
            came = &came[1..];
            return !(came.is_empty() || came.starts_with(b"\n"));
        }
        if came.starts_with(b"\n") {
            return false;
        }
        let both = came.len().min(PREFIX.len());
        came[..both] != PREFIX[..both]
    }

    /// Looks at the line that has just become whole; true if it ends the head.
    fn line_ended(&mut self) -> Result<bool, Error> {
        let text = strip_line_end(&self.raw[self.line..])?;
        if text.is_empty() && self.lines == 0 {
            self.blanks += 1;
            if self.blanks > BLANKS {
                return Err(Error::protocol("empty lines instead of a status line"));
            }
            self.start = self.raw.len();
        } else if text.is_empty() {
            return Ok(true);
        } else {
            if self.lines == 0 {
                status_line(text, self.leniency)?;
            }
            self.lines += 1;
            if self.lines > FIELDS + 1 {
                return Err(Error::limit(format!("more than {FIELDS} header lines")));
            }
        }
        self.line = self.raw.len();
        Ok(false)
    }

    /// The whole head, taken out; the gatherer is then ready for the next one.
    pub fn finish(&mut self) -> Result<Head, Error> {
        let mut raw = std::mem::take(&mut self.raw);
        raw.drain(..self.start);
        (self.start, self.line, self.blanks, self.lines) = (0, 0, 0, 0);
        parse(raw, self.leniency)
    }

    /// The bytes themselves, when they turned out to be no head.
    pub fn push_raw(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::syntax::quote;

    fn head(text: &[u8]) -> Result<Head, Error> {
        let mut gatherer = HeadReader::new(10_000, Leniency::Strict);
        let mut input = text;
        match gatherer.push(&mut input)? {
            HeadStatus::Complete => {
                let head = gatherer.finish()?;
                assert!(text.ends_with(&[&head.raw, input].concat()));
                Ok(head)
            }
            other => Err(Error::truncated(format!("{other:?}"))),
        }
    }

    #[test]
    fn a_plain_head_is_split() {
        let head = head(b"HTTP/1.1 200 OK\r\nServer: a b \r\nX:\t\r\nx: 2\r\n\r\n").unwrap();
        assert_eq!((head.minor, head.status, head.reason.as_slice()), (1, 200, &b"OK"[..]));
        assert_eq!(head.first("server"), Some(&b"a b"[..]));
        assert_eq!(head.values("X").collect::<Vec<_>>(), [&b""[..], b"2"]);
    }

    #[test]
    fn head_ends_at_its_first_blank_line() {
        assert_eq!(head(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nearly\r\n\r\n").unwrap().raw.len(), 25);
        assert_eq!(head(b"HTTP/1.1 200 OK\n\nearly\n\n").unwrap().raw.len(), 17);
        assert!(head(b"HTTP/1.1 200 OK\r\nA: b\r\n\r").is_err());
    }

    #[test]
    fn old_and_sloppy_but_honest_heads_are_taken() {
        for text in [
            &b"HTTP/1.1 200\r\n\r\n"[..],
            b"HTTP/1.1 200 \r\n\r\n",
            b"HTTP/1.1 200  two spaces\r\n\r\n",
            b"HTTP/1.0 200 OK\nA: b\n\n",
            b"HTTP/1.7 999 Ori\xebn\r\n\r\n",
            b"\r\nHTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: \x1b[31m\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA:\r\n\tb\r\n  c\r\n\r\n",
        ] {
            head(text).unwrap();
        }
        for folds in ["A:\r\n\tb\r\n  c", "A: b \r\n c", "A: \r\n \r\n b\r\n\t\r\n c\r\n "] {
            let folded = head(format!("HTTP/1.1 200 OK\r\n{folds}\r\n\r\n").as_bytes()).unwrap();
            assert_eq!(folded.first("a"), Some(&b"b c"[..]), "{folds:?}");
        }
        let escape = head(b"HTTP/1.1 200 OK\r\nA: \x1b[31m\r\n\r\n").unwrap();
        assert_eq!(escape.first("a"), Some(&b"\x1b[31m"[..]));
    }

    #[test]
    fn what_two_readers_could_read_two_ways_is_refused() {
        for text in [
            &b"HTTP/1.1\t200 OK\r\n\r\n"[..],
            b"HTTP/1.1  200 OK\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 099 OK\r\n\r\n",
            b"HTTP/1.1 -12 OK\r\n\r\n",
            b"HTTP/1.1 +20 OK\r\n\r\n",
            b"HTTP/1.x 200 OK\r\n\r\n",
            b"HTTP/2 200 OK\r\n\r\n",
            b"HTTP/0.9 200 OK\r\n\r\n",
            b"HTTP/1.01 200 OK\r\n\r\n",
            b"HTTP/01.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\rA: b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\r\nA: b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nen-US A: b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n: b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA\xe9: b\r\n\r\n",
        ] {
            let error = head(text).unwrap_err();
            assert_eq!(error.kind, crate::http::ErrorKind::Protocol, "{}: {error}", quote(text));
        }
    }

    #[test]
    fn another_protocol_is_seen_at_its_first_wrong_byte() {
        for alien in
            [&b"SSH-2.0"[..], b"ICY 200", b"HTTPS", b"\rHTTP/1.1 200", b"<html>", b"http/1.1"]
        {
            let mut gatherer = HeadReader::new(1000, Leniency::Strict);
            assert_eq!(gatherer.push(&mut { alien }).unwrap(), HeadStatus::NotHttp);
        }
    }

    #[test]
    fn limits_hold() {
        let long = [b"HTTP/1.1 200 OK\r\nA: ".to_vec(), vec![b'x'; 20_000]].concat();
        assert_eq!(head(&long).unwrap_err().kind, crate::http::ErrorKind::Limit);
        let many = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"A: b\r\n".repeat(1001)].concat();
        assert_eq!(head(&many).unwrap_err().kind, crate::http::ErrorKind::Limit);
    }
}
