//! Framing: splits a byte stream into messages (`--framing`).

use std::num::NonZeroUsize;
use std::ops::Range;
use std::str::FromStr;

/// How a stream is split into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// Each line of a read, and the incomplete line at its end: works for peers that send no line ends.
    #[default]
    Chunk,
    /// Each line, over any number of reads.
    Line,
    /// Each group of this many characters, line ends included.
    Chars(NonZeroUsize),
    /// Messages, and replies, with their length in bytes before them.
    Length(LengthWidth),
}

/// Size of the length before a message, an unsigned big-endian number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthWidth {
    /// One byte: up to 255 bytes.
    One = 1,
    /// Two bytes: up to 65,535 bytes.
    Two = 2,
    /// Four bytes: up to 4,294,967,295 bytes.
    Four = 4,
}

impl LengthWidth {
    fn bytes(self) -> usize {
        self as usize
    }

    /// Bytes of the longest message whose length fits.
    pub fn max_len(self) -> usize {
        usize::try_from(u32::MAX >> (32 - 8 * self.bytes())).unwrap_or(usize::MAX)
    }
}

impl FromStr for LengthWidth {
    type Err = String;

    fn from_str(word: &str) -> Result<LengthWidth, String> {
        match word {
            "1" => Ok(LengthWidth::One),
            "2" => Ok(LengthWidth::Two),
            "4" => Ok(LengthWidth::Four),
            _ => Err(format!("'{word}' is not the size of a length: 1, 2 or 4 bytes")),
        }
    }
}

impl FromStr for Framing {
    type Err = String;

    /// Parses `chunk`, `line`, `bytes:N` or `length:1|2|4`.
    fn from_str(word: &str) -> Result<Framing, String> {
        match word.split_once(':') {
            None if word == "chunk" => Ok(Framing::Chunk),
            None if word == "line" => Ok(Framing::Line),
            Some(("bytes", number)) => number
                .parse()
                .map(Framing::Chars)
                .map_err(|_| format!("'{number}' is not a number of characters (at least 1)")),
            Some(("length", width)) => width.parse().map(Framing::Length),
            _ => Err(format!("'{word}' is not a framing: chunk, line, bytes:N or length:1|2|4")),
        }
    }
}

impl Framing {
    /// Appends a message whose text `fill` appends, with its length before it where this framing
    /// has one.
    ///
    /// Fails, with the limit in bytes, when the length does not fit; nothing is appended then.
    pub fn append(self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), usize> {
        let Framing::Length(width) = self else {
            fill(out);
            return Ok(());
        };
        let start = out.len();
        let text = start + width.bytes();
        out.resize(text, 0);
        fill(out);
        let length = out.len() - text;
        if length > width.max_len() {
            out.truncate(start);
            return Err(width.max_len());
        }
        let number = (length as u64).to_be_bytes();
        out[start..text].copy_from_slice(&number[number.len() - width.bytes()..]);
        Ok(())
    }
}

/// A message, and the line end that was removed from it: `\n`, `\r\n` or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The message without its line end.
    pub text: &'a [u8],
    /// The line end.
    pub line_end: &'a [u8],
}

impl<'a> Message<'a> {
    /// Removes a line end from the end of `bytes`, if there is one.
    pub fn of(bytes: &'a [u8]) -> Message<'a> {
        let length = match bytes {
            [.., b'\r', b'\n'] => bytes.len() - 2,
            [.., b'\n'] => bytes.len() - 1,
            _ => bytes.len(),
        };
        let (text, line_end) = bytes.split_at(length);
        Message { text, line_end }
    }
}

/// What is known about the input that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputState {
    /// More bytes are available already.
    More,
    /// No more bytes are available now.
    Idle,
    /// The stream has ended.
    Eof,
}

/// Why the stream cannot be split any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FramingError {
    /// A message is longer than the limit.
    TooLong,
    /// The stream ended inside a message with a length.
    Truncated,
}

/// Bytes of the first buffer; it grows for connections that send more.
const INITIAL_LEN: usize = 2 << 10;

/// Splits a stream into messages; buffers the incomplete one.
#[derive(Debug)]
pub struct MessageSplitter {
    framing: Framing,
    /// Bytes of the longest message.
    max_message: usize,
    bytes: Vec<u8>,
    /// The part of `bytes` that is not split yet.
    pending: Range<usize>,
    /// How many pending bytes have been searched without result.
    searched: usize,
    /// How many characters they have.
    characters: usize,
}

impl MessageSplitter {
    /// A splitter for messages of at most `max_message` bytes.
    pub fn new(framing: Framing, max_message: usize) -> MessageSplitter {
        let bytes = vec![0; INITIAL_LEN];
        MessageSplitter { framing, max_message, bytes, pending: 0..0, searched: 0, characters: 0 }
    }

    /// The buffer for the next read; not empty if [`MessageSplitter::next`] is called between reads.
    pub fn space(&mut self) -> &mut [u8] {
        if self.pending.is_empty() {
            self.pending = 0..0;
        } else if self.pending.end == self.bytes.len() {
            self.bytes.copy_within(self.pending.clone(), 0);
            self.pending = 0..self.pending.len();
        }
        if self.pending.end == self.bytes.len() {
            self.grow();
        }
        &mut self.bytes[self.pending.end..]
    }

    /// Records that the last read returned `n` bytes; true if it filled the buffer, so that more may
    /// be available.
    pub fn filled(&mut self, n: usize) -> bool {
        self.pending.end += n;
        let full = self.pending.end == self.bytes.len();
        if full && self.pending.start == 0 {
            self.grow();
        }
        full
    }

    fn grow(&mut self) {
        let enough = self.max_message.saturating_add(INITIAL_LEN);
        let length = self.bytes.len().saturating_mul(4).min(enough).max(self.bytes.len());
        self.bytes.resize(length, 0);
    }

    /// Whether the last line is incomplete.
    pub fn is_open(&self) -> bool {
        self.bytes[self.pending.clone()].last().is_some_and(|byte| *byte != b'\n')
    }

    /// The next complete message; `None` when more bytes are needed.
    ///
    /// Fails when the message is longer than the limit, or the stream ends inside it.
    pub fn next(&mut self, input: InputState) -> Result<Option<Message<'_>>, FramingError> {
        if let Framing::Length(width) = self.framing {
            return self.next_with_length(width, input);
        }
        let Some(length) = self.complete_len(input) else {
            let pending = &self.bytes[self.pending.clone()];
            // The \n of a line end may be missing yet.
            let text = pending.strip_suffix(b"\r").unwrap_or(pending);
            return if text.len() > self.max_message {
                Err(FramingError::TooLong)
            } else {
                Ok(None)
            };
        };
        let start = self.pending.start;
        self.pending.start += length;
        (self.searched, self.characters) = (0, 0);
        let bytes = &self.bytes[start..start + length];
        let message = match self.framing {
            Framing::Chunk | Framing::Line => Message::of(bytes),
            _ => Message { text: bytes, line_end: b"" },
        };
        if message.text.len() > self.max_message {
            Err(FramingError::TooLong)
        } else {
            Ok(Some(message))
        }
    }

    /// As [`MessageSplitter::next`]; a length over the limit fails before the message arrives.
    fn next_with_length(
        &mut self,
        width: LengthWidth,
        input: InputState,
    ) -> Result<Option<Message<'_>>, FramingError> {
        let pending = &self.bytes[self.pending.clone()];
        let length = pending
            .get(..width.bytes())
            .map(|number| number.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte)));
        if length.is_some_and(|length| length > self.max_message as u64) {
            return Err(FramingError::TooLong);
        }
        let end = length.map(|length| width.bytes() + length as usize);
        match end.filter(|end| *end <= pending.len()) {
            Some(end) => {
                let text = self.pending.start + width.bytes()..self.pending.start + end;
                self.pending.start = text.end;
                Ok(Some(Message { text: &self.bytes[text], line_end: b"" }))
            }
            None if input == InputState::Eof && !pending.is_empty() => Err(FramingError::Truncated),
            None => Ok(None),
        }
    }

    /// The length of the first pending message, line end included, if it is complete.
    fn complete_len(&mut self, input: InputState) -> Option<usize> {
        let found = match self.framing {
            Framing::Chars(count) => self.chars_len(count.get()),
            _ => self.line_len(),
        };
        let pending = &self.bytes[self.pending.clone()];
        let rest = match input {
            InputState::Eof => !pending.is_empty(),
            InputState::Idle => {
                self.framing == Framing::Chunk
                    && !pending.is_empty()
                    && !ends_inside_character(pending)
            }
            InputState::More => false,
        };
        found.or(rest.then_some(pending.len()))
    }

    fn line_len(&mut self) -> Option<usize> {
        let pending = &self.bytes[self.pending.clone()];
        let end = pending[self.searched..].iter().position(|byte| *byte == b'\n');
        let length = end.map(|at| self.searched + at + 1);
        self.searched = pending.len();
        length
    }

    fn chars_len(&mut self, count: usize) -> Option<usize> {
        let pending = &self.bytes[self.pending.clone()];
        while self.characters < count {
            let length = character_len(&pending[self.searched..])?;
            self.searched += length;
            self.characters += 1;
        }
        Some(self.searched)
    }
}

/// Bytes of the first UTF-8 character; `None` when it is incomplete. An invalid byte counts as a
/// character.
fn character_len(bytes: &[u8]) -> Option<usize> {
    let length = match bytes.first()? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Some(1),
    };
    let rest = &bytes[1..length.min(bytes.len())];
    if rest.iter().any(|byte| byte & 0xc0 != 0x80) {
        return Some(1);
    }
    (bytes.len() >= length).then_some(length)
}

/// Whether the bytes are UTF-8 with an incomplete last character. Other bytes have no characters
/// that could be split.
fn ends_inside_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The messages of these reads, with a pause after each and the end of the stream at the end.
    fn split(framing: &str, max: usize, reads: &[&[u8]]) -> Result<Vec<String>, FramingError> {
        let mut splitter = MessageSplitter::new(framing.parse().unwrap(), max);
        let mut messages = Vec::new();
        for read in reads {
            let mut read = *read;
            while !read.is_empty() {
                let space = splitter.space();
                let n = space.len().min(read.len());
                space[..n].copy_from_slice(&read[..n]);
                read = &read[n..];
                splitter.filled(n);
                let input = if read.is_empty() { InputState::Idle } else { InputState::More };
                drain(&mut splitter, input, &mut messages)?;
            }
        }
        drain(&mut splitter, InputState::Eof, &mut messages)?;
        Ok(messages)
    }

    fn drain(
        splitter: &mut MessageSplitter,
        input: InputState,
        into: &mut Vec<String>,
    ) -> Result<(), FramingError> {
        while let Some(message) = splitter.next(input)? {
            let text = String::from_utf8_lossy(message.text);
            into.push(format!("{text}|{}", message.line_end.escape_ascii()));
        }
        Ok(())
    }

    fn check(framing: &str, reads: &[&str], expected: &[&str]) {
        let reads: Vec<&[u8]> = reads.iter().map(|read| read.as_bytes()).collect();
        let expected = expected.iter().map(|word| word.to_string()).collect();
        assert_eq!(split(framing, 65536, &reads), Ok(expected), "{framing} {reads:?}");
    }

    #[test]
    fn chunk_is_a_line_or_the_rest_of_a_read() {
        check("chunk", &["Michael"], &["Michael|"]);
        check("chunk", &["a\nb\r\n", "c"], &[r"a|\n", r"b|\r\n", "c|"]);
        check("chunk", &["one\ntw", "o\n"], &[r"one|\n", "tw|", r"o|\n"]);
        check("chunk", &["\n", "\n\nx"], &[r"|\n", r"|\n", r"|\n", "x|"]);
    }

    #[test]
    fn chunk_never_ends_inside_a_character() {
        let word = "é已😀".as_bytes();
        for at in 1..word.len() {
            let split = split("chunk", 100, &[&word[..at], &word[at..]]).unwrap().join("");
            assert_eq!(split.replace('|', ""), "é已😀", "split at {at}");
        }
        assert_eq!(split("chunk", 100, &[b"\xff\xe5", b"x"]).unwrap().len(), 2);
        assert_eq!(split("chunk", 100, &[b"caf\xc3"]).unwrap().len(), 1);
    }

    #[test]
    fn chunk_that_fills_the_buffer_is_one_message() {
        let long = "x".repeat(50_000);
        check("chunk", &[&long], &[&format!("{long}|")]);
        let lines = "a line\n".repeat(10_000);
        assert!(
            split("chunk", 100, &[lines.as_bytes()]).unwrap().iter().all(|m| m == r"a line|\n")
        );
    }

    #[test]
    fn line_spans_reads() {
        check("line", &["ha", "lf\ntwo\nre", "st"], &[r"half|\n", r"two|\n", "rest|"]);
        check("line", &["a\r", "\nb"], &[r"a|\r\n", "b|"]);
    }

    #[test]
    fn bytes_framing_counts_characters_and_line_ends() {
        check("bytes:3", &["abcde", "f已接收到"], &["abc|", "def|", "已接收|", "到|"]);
        check("bytes:2", &["a\nb"], &["a\n|", "b|"]);
        assert_eq!(
            split("bytes:2", 9, &[b"\xe5\xb7", b"\xb2\xffz"]).unwrap(),
            ["已\u{fffd}|", "z|"]
        );
    }

    #[test]
    fn message_over_the_limit_fails_and_message_at_the_limit_does_not() {
        for framing in ["chunk", "line"] {
            assert!(split(framing, 8, &[b"12345678\r\n12345678\n12345678"]).is_ok());
            assert!(split("line", 8, &[b"12345678\r", b"\n", b"12345678", b"\n"]).is_ok());
            for reads in [[b"123456789".as_slice()], [b"123456789\n"], [b"1\n123456789"]] {
                assert_eq!(split(framing, 8, &reads), Err(FramingError::TooLong));
            }
        }
        assert_eq!(split("bytes:9", 8, &[b"123456789"]), Err(FramingError::TooLong));
    }

    #[test]
    fn length_framing_accepts_any_split_and_empty_messages() {
        let stream = b"\0\x03a\nb\0\0\0\x01c";
        for at in 0..=stream.len() {
            let split = split("length:2", 9, &[&stream[..at], &stream[at..]]);
            assert_eq!(split.unwrap(), ["a\nb|", "|", "c|"], "{at}");
        }
        assert_eq!(split("length:1", 9, &[b"\x01a\x02bc"]).unwrap(), ["a|", "bc|"]);
        assert_eq!(split("length:4", 9, &[b"\0\0\0\x01a"]).unwrap(), ["a|"]);
    }

    #[test]
    fn length_over_the_limit_fails_before_the_message_arrives() {
        assert_eq!(split("length:1", 8, &[b"\x09"]), Err(FramingError::TooLong));
        assert_eq!(split("length:4", 8, &[b"\xff\xff\xff\xff"]), Err(FramingError::TooLong));
        assert!(split("length:1", 8, &[b"\x0812345678"]).is_ok());
    }

    #[test]
    fn length_framing_that_ends_inside_a_message_is_truncated() {
        for stream in [&b"\0"[..], b"\0\x02", b"\0\x02a", b"\0\x01a\0\x02b"] {
            assert_eq!(split("length:2", 9, &[stream]), Err(FramingError::Truncated), "{stream:?}");
        }
    }

    #[test]
    fn append_writes_the_length_before_the_text() {
        let append = |framing: &str, text: &[u8]| {
            let mut out = b"before".to_vec();
            let framing: Framing = framing.parse().unwrap();
            let done = framing.append(&mut out, |out| out.extend_from_slice(text));
            done.map(|()| out.split_off(6))
        };
        assert_eq!(append("chunk", b"ab"), Ok(b"ab".to_vec()));
        assert_eq!(append("length:1", b"ab"), Ok(b"\x02ab".to_vec()));
        assert_eq!(append("length:2", b""), Ok(b"\0\0".to_vec()));
        assert_eq!(append("length:4", &[b'x'; 258]).unwrap()[..5], *b"\0\0\x01\x02x");
        assert_eq!(append("length:1", &[0; 256]), Err(255));
        assert_eq!(append("length:2", &[0; 65_536]), Err(65_535));
    }

    #[test]
    fn framing_is_parsed() {
        assert_eq!("bytes:10".parse(), Ok(Framing::Chars(NonZeroUsize::new(10).unwrap())));
        assert_eq!("length:4".parse(), Ok(Framing::Length(LengthWidth::Four)));
        let bad =
            ["", "bytes", "bytes:", "bytes:0", "bytes:-1", "bytes:x", "Line", "lines", "line:"];
        for word in
            bad.into_iter().chain(["length", "length:", "length:3", "length:0", "length:+1"])
        {
            assert!(word.parse::<Framing>().is_err(), "{word}");
        }
    }

    proptest! {
        #[test]
        fn messages_and_line_ends_are_the_input(
            reads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 0..6),
            framing in prop::sample::select(vec!["chunk", "line", "bytes:7"]),
        ) {
            let mut splitter = MessageSplitter::new(framing.parse().unwrap(), 1 << 20);
            let mut out = Vec::new();
            for mut read in reads.iter().map(Vec::as_slice) {
                while !read.is_empty() {
                    let n = read.len().min(splitter.space().len());
                    splitter.space()[..n].copy_from_slice(&read[..n]);
                    read = &read[n..];
                    splitter.filled(n);
                    while let Ok(Some(message)) = splitter.next(InputState::Idle) {
                        out.extend_from_slice(&[message.text, message.line_end].concat());
                    }
                }
            }
            while let Ok(Some(message)) = splitter.next(InputState::Eof) {
                out.extend_from_slice(&[message.text, message.line_end].concat());
            }
            prop_assert_eq!(out, reads.concat());
        }
    }
}
