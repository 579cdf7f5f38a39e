//! Splits a byte stream into messages, as its framing says.

use std::ops::Range;

use super::Connection;
use super::framing::{Framing, Message};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::address::Address;

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

impl FramingError {
    /// The failure of a connection to `peer`, whose messages are `what`, of at most `max` bytes.
    pub fn failure(self, peer: &Address, what: &str, max: usize) -> Failure {
        match self {
            FramingError::TooLong => {
                let why = format!("{what} of more than {max} bytes");
                Failure::new(Phase::Receive, peer, why)
                    .with_code(ExitCode::Limit)
                    .with_hint("--max-message allows longer ones")
            }
            FramingError::Truncated => {
                Failure::new(Phase::Receive, peer, format!("the peer closed inside a {what}"))
                    .with_code(ExitCode::Partial)
            }
        }
    }
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

    /// Reads from `connection`; returns what is known about the input that follows.
    ///
    /// Fails as [`Connection::read`] does.
    pub fn read(&mut self, connection: &mut Connection) -> Result<InputState, Failure> {
        let n = connection.read(self.space())?;
        let is_full = self.filled(n);
        Ok(match n {
            0 => InputState::Eof,
            _ if is_full && connection.stream.reader.is_ready() => InputState::More,
            _ => InputState::Idle,
        })
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
        if let Framing::Length(size) = self.framing {
            return self.next_with_length(size, input);
        }
        let complete = self.complete_len(input);
        let pending = &self.bytes[self.pending.clone()];
        let message = match (complete, self.framing) {
            // The \n of a line end may be missing yet.
            (None, _) => Message::without_end(pending.strip_suffix(b"\r").unwrap_or(pending)),
            (Some(length), Framing::Chars(_)) => Message::without_end(&pending[..length]),
            (Some(length), _) => Message::of(&pending[..length]),
        };
        if message.text.len() > self.max_message {
            return Err(FramingError::TooLong);
        }
        let Some(length) = complete else { return Ok(None) };
        self.pending.start += length;
        (self.searched, self.characters) = (0, 0);
        Ok(Some(message))
    }

    /// As [`MessageSplitter::next`]; a length over the limit fails before the message arrives.
    fn next_with_length(
        &mut self,
        size: usize,
        input: InputState,
    ) -> Result<Option<Message<'_>>, FramingError> {
        let pending = &self.bytes[self.pending.clone()];
        let message = pending.split_at_checked(size).map(|(number, rest)| {
            (number.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)), rest)
        });
        match message {
            Some((length, _)) if length > self.max_message as u64 => Err(FramingError::TooLong),
            Some((length, rest)) if length <= rest.len() as u64 => {
                self.pending.start += size + length as usize;
                Ok(Some(Message::without_end(&rest[..length as usize])))
            }
            _ if input == InputState::Eof && !pending.is_empty() => Err(FramingError::Truncated),
            _ => Ok(None),
        }
    }

    /// The length of the first pending message, line end included, if it is complete.
    fn complete_len(&mut self, input: InputState) -> Option<usize> {
        let found = match self.framing {
            Framing::Chars(count) => self.chars_len(count.get()),
            _ => self.line_len(),
        };
        let pending = &self.bytes[self.pending.clone()];
        let ends_here = match input {
            InputState::Eof => true,
            InputState::Idle => self.framing == Framing::Chunk && !ends_inside_character(pending),
            InputState::More => false,
        };
        found.or((ends_here && !pending.is_empty()).then_some(pending.len()))
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
