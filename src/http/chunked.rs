//! The chunked transfer coding (RFC 9112 §7.1): sizes, extensions, data and trailers, each limited.

use super::error::{Error, LENIENT};
use super::head::parse_field;
use super::syntax::{Leniency, quote, strip_line_end};

mod extension;

/// The longest size line with its extensions, in bytes.
const MAX_LINE: usize = 16 * 1024;
/// Digits of a size that are not counted as extension bytes; servers pad to a fixed width.
const FREE_DIGITS: usize = 16;
/// Extension bytes that are always allowed; beyond them one per byte of data is.
const FREE_EXTENSIONS: u64 = 64 * 1024;
/// The most trailer lines.
const MAX_TRAILERS: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    /// After the data of a chunk.
    DataEnd,
    /// After the CR that follows it.
    DataLf,
    Trailers,
}

/// Decodes the framing of one chunked body; the data between is not passed to it.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// The beginning of an incomplete line.
    line: Vec<u8>,
    /// The size of the current chunk.
    size: u64,
    /// The sizes of all chunks.
    data: u64,
    extensions: u64,
    trailer_bytes: usize,
    trailers: usize,
    max_trailer: usize,
    leniency: Leniency,
}

impl ChunkedDecoder {
    /// A decoder at the first chunk; trailers may have `max_trailer` bytes.
    pub fn new(max_trailer: usize, leniency: Leniency) -> ChunkedDecoder {
        ChunkedDecoder {
            state: State::Size,
            line: Vec::new(),
            size: 0,
            data: 0,
            extensions: 0,
            trailer_bytes: 0,
            trailers: 0,
            max_trailer,
            leniency,
        }
    }

    /// Takes framing from `input` up to the data of a chunk, which is to be skipped before the next
    /// call. Returns its size, 0 at the end of the body; none when the input is used.
    pub fn read_framing(&mut self, input: &mut &[u8]) -> Result<Option<u64>, Error> {
        while !input.is_empty() {
            let size = match self.state {
                State::Size => self.size_line(input)?,
                State::DataEnd | State::DataLf => {
                    self.data_end(input)?;
                    None
                }
                State::Trailers => self.trailer(input)?,
            };
            if size.is_some() {
                return Ok(size);
            }
        }
        Ok(None)
    }

    /// Describes where a stream has ended, with `left` bytes of the current chunk missing.
    pub fn position(&self, left: u64) -> String {
        match self.state {
            State::Size if !self.line.is_empty() => "in a chunk's size".into(),
            State::Size if self.data == 0 => "before the first chunk".into(),
            State::Size => "before the last chunk".into(),
            State::DataEnd if left > 0 => {
                format!("in a chunk, {} of its {} bytes", self.size - left, self.size)
            }
            State::DataEnd | State::DataLf => "at the end of a chunk".into(),
            State::Trailers => "in the trailer".into(),
        }
    }

    /// Takes bytes from `input` up to the end of a line; returns the line, with its end, when it is
    /// complete. Unlike in a head, the CR is required: the two interpretations of a bare LF would
    /// allow response smuggling.
    ///
    /// `limit` counts the line with its end; `what` names the part in the error (63).
    fn next_line(
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
        if end.is_none() {
            return Ok(None);
        }
        if self.leniency == Leniency::Strict && !self.line.ends_with(b"\r\n") {
            return Err(bare_lf());
        }
        Ok(Some(std::mem::take(&mut self.line)))
    }

    /// Returns the size of a chunk with data; trailers follow the line of the last one, whose size is 0.
    fn size_line(&mut self, input: &mut &[u8]) -> Result<Option<u64>, Error> {
        let Some(line) = self.next_line(input, MAX_LINE, "chunk size line")? else {
            return Ok(None);
        };
        let line = strip_line_end(&line)?;
        let count = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, extensions) = line.split_at(count);
        let malformed = || Error::protocol(format!("malformed chunk size {}", quote(line)));
        self.size = parse_size(digits).ok_or_else(malformed)?;
        if !extensions.is_empty() {
            extension::check(extensions, self.leniency)?;
        }
        self.extensions += (line.len() - count.min(FREE_DIGITS)) as u64;
        if self.extensions > FREE_EXTENSIONS + self.data {
            return Err(Error::limit("more chunk extensions than body"));
        }
        if self.size == 0 {
            self.state = State::Trailers;
            return Ok(None);
        }
        self.data += self.size;
        self.state = State::DataEnd;
        Ok(Some(self.size))
    }

    /// The CR LF after the data of a chunk; anything else is data beyond the size.
    fn data_end(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        self.state = match (self.state, input[0]) {
            (State::DataEnd, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::DataEnd, b'\n') if self.leniency == Leniency::Lenient => State::Size,
            (State::DataEnd, b'\n') => return Err(bare_lf()),
            _ => return Err(Error::protocol("data beyond its chunk's size")),
        };
        *input = &input[1..];
        Ok(())
    }

    /// Returns 0 after the empty line that ends the body.
    fn trailer(&mut self, input: &mut &[u8]) -> Result<Option<u64>, Error> {
        let left = self.max_trailer - self.trailer_bytes;
        let Some(read) = self.next_line(input, left, "trailer")? else { return Ok(None) };
        let line = strip_line_end(&read)?;
        if line.is_empty() {
            return Ok(Some(0));
        }
        if self.trailers == 0 || !matches!(line[0], b' ' | b'\t') {
            check_trailer(line)?;
        }
        self.trailers += 1;
        if self.trailers > MAX_TRAILERS {
            return Err(Error::limit(format!("more than {MAX_TRAILERS} trailer lines")));
        }
        self.trailer_bytes += read.len();
        Ok(None)
    }
}

/// Parses the size at the beginning of a size line: 1 to 15 digits after leading zeros.
fn parse_size(digits: &[u8]) -> Option<u64> {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    if digits.len() - zeros > 15 {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The error of a line of chunk framing that ends without CR; `--lenient` accepts it.
fn bare_lf() -> Error {
    Error::protocol("bare LF in chunk framing").with_hint(LENIENT)
}

/// Checks that a line of a trailer is a field (RFC 9112 §7.1.2), whose content is ignored.
fn check_trailer(line: &[u8]) -> Result<(), Error> {
    let wrong = |flaw| Error::protocol(format!("{flaw} in a trailer: {}", quote(line)));
    parse_field(line, Leniency::Strict).map(drop).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    fn body(input: &[u8]) -> Result<Vec<u8>, Error> {
        read(input, Leniency::Strict)
    }

    fn read(mut input: &[u8], leniency: Leniency) -> Result<Vec<u8>, Error> {
        let mut chunks = ChunkedDecoder::new(1000, leniency);
        let mut all = Vec::new();
        loop {
            let size = match chunks.read_framing(&mut input)? {
                Some(0) => return Ok(all),
                size => size.unwrap_or(0) as usize,
            };
            let count = input.len().min(size);
            all.extend_from_slice(&input[..count]);
            input = &input[count..];
            if input.is_empty() {
                return Err(Error::truncated(chunks.position((size - count) as u64)));
            }
        }
    }

    #[test]
    fn chunks_extensions_and_trailers_are_read() {
        let text =
            b"5;a;b=c\r\nhello\r\n06 ; q=\"x; \\\"y\"\r\n world\r\n0;z\r\nT: r\r\n more\r\n\r\n";
        assert_eq!(body(text).unwrap(), b"hello world");
    }

    #[test]
    fn size_with_blanks_or_leading_zeros_is_read() {
        for size in ["5 ", "5      ", "5\t ", "5;a ", "5 ; a=b\t", "0000000000000000000000005"] {
            let text = format!("{size}\r\nhello\r\n00000000000000000000 \r\n\r\n");
            assert_eq!(body(text.as_bytes()).unwrap(), b"hello", "{size:?}");
        }
    }

    #[test]
    fn error_that_lenient_accepts_says_so() {
        for (text, hint) in [
            ("5\nhello\r\n0\r\n\r\n", Some(LENIENT)),
            ("5\r\nhello\n0\r\n\r\n", Some(LENIENT)),
            ("5;\r\nhello\r\n0\r\n\r\n", Some(LENIENT)),
            ("0\n\r\n", Some(LENIENT)),
            ("5 x\r\nhello\r\n0\r\n\r\n", None),
            ("x\r\nhello\r\n0\r\n\r\n", None),
            ("0\r\nno trailer\r\n\r\n", None),
        ] {
            let read = |leniency| read(text.as_bytes(), leniency);
            let error = read(Leniency::Strict).unwrap_err();
            assert_eq!((error.code, error.hint), (ExitCode::Protocol, hint), "{text:?}");
            assert_eq!(read(Leniency::Lenient).is_ok(), hint.is_some(), "{text:?}");
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for text in [
            "\r\n",
            "+5\r\n",
            "-5\r\n",
            "0x5\r\n",
            "g\r\n",
            " 5\r\n",
            "1000000000000000\r\n",
            "5 \nhello\r\n0\r\n\r\n",
            "5 \u{b}\r\nhello\r\n0\r\n\r\n",
            "5\r\nhelloo\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\rhello",
            "5;a=\"b\r\nhello\r\n0\r\n\r\n",
            "0\r\n\n",
            "5\r\nhello\r\r\n0\r\n\r\n",
        ] {
            let got = body(text.as_bytes());
            let kind = if text == "5\rhello" { ExitCode::Partial } else { ExitCode::Protocol };
            assert_eq!(got.map_err(|error| error.code), Err(kind), "{text:?}");
        }
    }

    #[test]
    fn truncation_has_its_position() {
        for (text, position) in [
            ("", "before the first chunk"),
            ("5", "in a chunk's size"),
            ("5\r\nhel", "in a chunk, 3 of its 5 bytes"),
            ("5\r\nhello", "at the end of a chunk"),
            ("5\r\nhello\r\n", "before the last chunk"),
            ("0\r\n", "in the trailer"),
        ] {
            assert_eq!(body(text.as_bytes()).unwrap_err().text, position);
        }
    }

    #[test]
    fn endless_lines_exceed_limit() {
        let endless = format!("5;{}", "x".repeat(20_000));
        assert_eq!(body(endless.as_bytes()).unwrap_err().code, ExitCode::Limit);
        let endless = format!("0\r\n{}", "a: b\r\n".repeat(1000));
        assert_eq!(body(endless.as_bytes()).unwrap_err().code, ExitCode::Limit);
        for (count, is_read) in [(MAX_TRAILERS, true), (MAX_TRAILERS + 1, false)] {
            let trailers = format!("0\r\n{}\r\n", "a:\r\n".repeat(count));
            assert_eq!(body(trailers.as_bytes()).is_ok(), is_read, "{count}");
        }
        for padding in ["1;x".to_string() + &"x".repeat(10_000), "0".repeat(10_000) + "1"] {
            let padding = format!("{padding}\r\nx\r\n").repeat(10);
            assert_eq!(body(padding.as_bytes()).unwrap_err().code, ExitCode::Limit);
        }
    }
}
