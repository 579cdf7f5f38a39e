//! Collects a head from pieces of any size, up to its empty line.
//!
//! A malformed line fails when it is complete, another protocol at its first wrong byte, so that
//! http-get does not wait for the end of something that is no head.

use super::error::{Error, MAX_HEADER};
use super::head::Head;
use super::syntax::{Leniency, strip_line_end};

/// The most empty lines before a status line; some servers end a previous body with one too many.
const MAX_EMPTY_LINES: usize = 4;
/// The most header lines in one head.
const MAX_FIELDS: usize = 1000;
/// The beginning of every HTTP/1 response.
const PREFIX: &[u8] = b"HTTP/";

/// The result of one push.
#[derive(Debug, PartialEq, Eq)]
pub enum HeadStatus {
    /// More input is needed.
    Incomplete,
    /// The empty line was read; the reader is ready for the next head.
    Complete(Head),
    /// The bytes are not an HTTP/1 status line.
    NotHttp,
}

/// Collects one head after the other.
#[derive(Debug)]
pub struct HeadReader {
    raw: Vec<u8>,
    /// Where the status line begins, after empty lines.
    start: usize,
    /// Where the unfinished line begins.
    line: usize,
    empty_lines: usize,
    /// What the status line and the fields before the unfinished line say.
    head: Option<Head>,
    fields: usize,
    max_bytes: usize,
    leniency: Leniency,
}

impl HeadReader {
    /// A reader that accepts at most `max_bytes` per head.
    pub fn new(max_bytes: usize, leniency: Leniency) -> HeadReader {
        let (raw, head) = (Vec::new(), None);
        HeadReader { raw, start: 0, line: 0, empty_lines: 0, head, fields: 0, max_bytes, leniency }
    }

    /// Whether the complete prefix of a status line has been read.
    pub fn has_prefix(&self) -> bool {
        self.raw.len() - self.start >= PREFIX.len()
    }

    /// How many bytes of this head have been read.
    pub fn bytes_read(&self) -> usize {
        self.raw.len()
    }

    /// Takes from `input` up to the empty line.
    ///
    /// Fails on a malformed line (8) when the line is complete, and on a head that exceeds a limit
    /// (63).
    pub fn push(&mut self, input: &mut &[u8]) -> Result<HeadStatus, Error> {
        while !input.is_empty() {
            let end = input.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let left = self.max_bytes - self.raw.len();
            let count = end.unwrap_or(input.len()).min(left);
            self.raw.extend_from_slice(&input[..count]);
            let too_large = end.unwrap_or(input.len()) > left;
            *input = &input[count..];
            if self.is_not_http() {
                return Ok(HeadStatus::NotHttp);
            }
            if too_large {
                let limit = self.max_bytes;
                let why = format!("header larger than the limit of {limit} bytes");
                return Err(Error::limit(why).with_hint(MAX_HEADER));
            }
            if end.is_some()
                && let Some(head) = self.line_ended()?
            {
                return Ok(HeadStatus::Complete(head));
            }
        }
        Ok(HeadStatus::Incomplete)
    }

    /// Whether the bytes cannot be the beginning of `HTTP/`.
    fn is_not_http(&self) -> bool {
        let mut text = &self.raw[self.start..];
        if text.starts_with(b"\r") {
            text = &text[1..];
            return !(text.is_empty() || text.starts_with(b"\n"));
        }
        if text.starts_with(b"\n") {
            return false;
        }
        let len = text.len().min(PREFIX.len());
        text[..len] != PREFIX[..len]
    }

    /// Parses the line that is now complete; returns the head that it ends.
    fn line_ended(&mut self) -> Result<Option<Head>, Error> {
        let line = strip_line_end(&self.raw[self.line..])?;
        self.line = self.raw.len();
        match &mut self.head {
            None if line.is_empty() => {
                self.empty_lines += 1;
                if self.empty_lines > MAX_EMPTY_LINES {
                    return Err(Error::protocol("empty lines instead of a status line"));
                }
                self.start = self.line;
            }
            None => self.head = Some(Head::from_status_line(line, self.leniency)?),
            Some(_) if line.is_empty() => {
                let read = std::mem::replace(self, HeadReader::new(self.max_bytes, self.leniency));
                let raw = read.raw[read.start..].to_vec();
                return Ok(read.head.map(|head| Head { raw, ..head }));
            }
            Some(head) => {
                head.push_line(line, self.leniency)?;
                self.fields += 1;
                if self.fields > MAX_FIELDS {
                    return Err(Error::limit(format!("more than {MAX_FIELDS} header lines")));
                }
            }
        }
        Ok(None)
    }

    /// Takes the bytes as read, when they are not a head.
    pub fn take_raw(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::syntax::quote;

    fn head(text: &[u8]) -> Result<Head, Error> {
        let mut reader = HeadReader::new(10_000, Leniency::Strict);
        let mut input = text;
        match reader.push(&mut input)? {
            HeadStatus::Complete(head) => {
                assert!(text.ends_with(&[&head.raw, input].concat()));
                Ok(head)
            }
            other => Err(Error::truncated(format!("{other:?}"))),
        }
    }

    #[test]
    fn head_is_split_into_fields() {
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
    fn unusual_but_unambiguous_heads_are_accepted() {
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
    fn ambiguous_heads_are_refused() {
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
            assert_eq!(error.code, crate::error::ExitCode::Protocol, "{}: {error}", quote(text));
        }
    }

    #[test]
    fn other_protocol_is_detected_at_first_wrong_byte() {
        for text in
            [&b"SSH-2.0"[..], b"ICY 200", b"HTTPS", b"\rHTTP/1.1 200", b"<html>", b"http/1.1"]
        {
            let mut reader = HeadReader::new(1000, Leniency::Strict);
            assert_eq!(reader.push(&mut { text }).unwrap(), HeadStatus::NotHttp);
        }
    }

    #[test]
    fn head_over_limit_is_63() {
        let long = [b"HTTP/1.1 200 OK\r\nA: ".to_vec(), vec![b'x'; 20_000]].concat();
        assert_eq!(head(&long).unwrap_err().code, crate::error::ExitCode::Limit);
        let many = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"A: b\r\n".repeat(1001)].concat();
        assert_eq!(head(&many).unwrap_err().code, crate::error::ExitCode::Limit);
    }
}
