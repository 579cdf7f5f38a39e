//! The chunked transfer coding (RFC 9112 §7.1): sizes, extensions, data and trailers, each limited.

use super::error::Error;
use super::head::parse_field;
use super::line::{LineReader, bare_lf, strip_crlf};
use super::syntax::{Leniency, quote};
use extension::check;

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
    Data,
    /// After the data of a chunk, and after the CR that follows it.
    DataEnd,
    DataLf,
    Trailers,
    End,
}

/// Decodes the framing of one chunked body.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    lines: LineReader,
    /// The size of the current chunk, and how much of it is missing.
    size: u64,
    left: u64,
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
            lines: LineReader::default(),
            size: 0,
            left: 0,
            data: 0,
            extensions: 0,
            trailer_bytes: 0,
            trailers: 0,
            max_trailer,
            leniency,
        }
    }

    /// Takes framing from `input` until data follows, the body is complete (true) or the input is
    /// used.
    pub fn read_framing(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        while !input.is_empty() && self.data_len() == 0 && self.state != State::End {
            match self.state {
                State::Size => self.size_line(input)?,
                State::DataEnd | State::DataLf => self.data_end(input)?,
                State::Trailers => self.trailer(input)?,
                State::Data | State::End => {}
            }
        }
        Ok(self.state == State::End)
    }

    /// The number of data bytes that follow without framing.
    pub fn data_len(&self) -> u64 {
        if self.state == State::Data { self.left } else { 0 }
    }

    /// Counts `count` bytes of data as read; at most [`ChunkedDecoder::data_len`].
    pub fn advance(&mut self, count: u64) {
        self.data += count;
        self.left = self.left.saturating_sub(count);
        if self.left == 0 {
            self.state = State::DataEnd;
        }
    }

    /// Describes the current position, for the error of a stream that ends here.
    pub fn position(&self) -> String {
        match self.state {
            State::Size if self.lines.is_empty() && self.data == 0 => {
                "before the first chunk".into()
            }
            State::Size if self.lines.is_empty() => "before the last chunk".into(),
            State::Size => "in a chunk's size".into(),
            State::Data => {
                format!("in a chunk, {} of its {} bytes", self.size - self.left, self.size)
            }
            State::DataEnd | State::DataLf => "at the end of a chunk".into(),
            State::Trailers | State::End => "in the trailer".into(),
        }
    }

    fn size_line(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        let Some(line) = self.lines.next(input, MAX_LINE, "chunk size line")? else {
            return Ok(());
        };
        let line = strip_crlf(&line, self.leniency)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let malformed = || Error::protocol(format!("malformed chunk size {}", quote(line)));
        let size = parse_size(&line[..digits]).ok_or_else(malformed)?;
        check(&line[digits..], self.leniency)?;
        self.extensions += (line.len() - digits.min(FREE_DIGITS)) as u64;
        if self.extensions > FREE_EXTENSIONS + self.data {
            return Err(Error::limit("more chunk extensions than body"));
        }
        (self.size, self.left) = (size, size);
        self.state = if size == 0 { State::Trailers } else { State::Data };
        Ok(())
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

    fn trailer(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        let left = self.max_trailer - self.trailer_bytes;
        let Some(read) = self.lines.next(input, left, "trailer")? else { return Ok(()) };
        let line = strip_crlf(&read, self.leniency)?;
        if line.is_empty() {
            self.state = State::End;
        } else if self.trailers == 0 || !matches!(line[0], b' ' | b'\t') {
            check_trailer(line)?;
        }
        self.trailers += 1;
        if self.trailers > MAX_TRAILERS {
            return Err(Error::limit(format!("more than {MAX_TRAILERS} trailer lines")));
        }
        self.trailer_bytes += read.len();
        Ok(())
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

/// Checks that a line of a trailer is a field (RFC 9112 §7.1.2), whose content is ignored.
fn check_trailer(line: &[u8]) -> Result<(), Error> {
    let wrong = |flaw| Error::protocol(format!("{flaw} in a trailer: {}", quote(line)));
    parse_field(line, Leniency::Strict).map(drop).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;
    use crate::http::error::LENIENT;

    fn body(input: &[u8]) -> Result<Vec<u8>, Error> {
        read(input, Leniency::Strict)
    }

    fn read(mut input: &[u8], leniency: Leniency) -> Result<Vec<u8>, Error> {
        let mut chunks = ChunkedDecoder::new(1000, leniency);
        let mut all = Vec::new();
        loop {
            if chunks.read_framing(&mut input)? {
                return Ok(all);
            }
            let count = input.len().min(chunks.data_len() as usize);
            if count == 0 {
                return Err(Error::truncated(chunks.position()));
            }
            all.extend_from_slice(&input[..count]);
            chunks.advance(count as u64);
            input = &input[count..];
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
            assert_eq!(read(Leniency::Strict).unwrap_err().hint, hint, "{text:?}");
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
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhelloo\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\rhello",
            "5 x\r\nhello\r\n0\r\n\r\n",
            "5;\r\nhello\r\n0\r\n\r\n",
            "5;a=\"b\r\nhello\r\n0\r\n\r\n",
            "0\r\nno trailer\r\n\r\n",
            "0\r\n\n",
            "0\n\r\n",
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
        for padding in ["1;x".to_string() + &"x".repeat(10_000), "0".repeat(10_000) + "1"] {
            let padding = format!("{padding}\r\nx\r\n").repeat(10);
            assert_eq!(body(padding.as_bytes()).unwrap_err().code, ExitCode::Limit);
        }
    }
}
