//! Where one message ends and the next begins, in a stream that knows nothing of messages.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::str::FromStr;

/// How a stream is cut into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// A line, or what came at once: works for peers that never send a line end.
    #[default]
    Chunk,
    /// A line, however many reads it takes.
    Line,
    /// So many characters, whatever they are.
    Chars(NonZeroUsize),
    /// As many bytes as the number before them says; replies have such a number too.
    Length(Width),
}

/// Bytes of the unsigned big-endian number before a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// Up to 255 bytes.
    One = 1,
    /// Up to 65,535 bytes.
    Two = 2,
    /// Up to 4,294,967,295 bytes.
    Four = 4,
}

impl Width {
    fn bytes(self) -> usize {
        self as usize
    }

    /// Bytes of the longest message that the number can announce.
    pub fn most(self) -> usize {
        usize::try_from(u32::MAX >> (32 - 8 * self.bytes())).unwrap_or(usize::MAX)
    }
}

impl FromStr for Width {
    type Err = String;

    fn from_str(word: &str) -> Result<Width, String> {
        match word {
            "1" => Ok(Width::One),
            "2" => Ok(Width::Two),
            "4" => Ok(Width::Four),
            _ => Err(format!("'{word}' is not the size of a length in bytes: 1, 2 or 4")),
        }
    }
}

impl FromStr for Framing {
    type Err = String;

    /// Reads `chunk`, `line`, `bytes:N` or `length:1|2|4`.
    fn from_str(word: &str) -> Result<Framing, String> {
        match word.split_once(':') {
            None if word == "chunk" => Ok(Framing::Chunk),
            None if word == "line" => Ok(Framing::Line),
            Some(("bytes", number)) => number
                .parse()
                .map(Framing::Chars)
                .map_err(|_| format!("'{number}' is not a number of characters from 1")),
            Some(("length", width)) => width.parse().map(Framing::Length),
            _ => Err(format!("'{word}' is not a framing: chunk, line, bytes:N or length:1|2|4")),
        }
    }
}

impl Framing {
    /// Appends a message whose text `fill` appends, with the number that this framing puts before
    /// it.
    ///
    /// Fails, with the limit, when the text is longer than the number can say; nothing is appended
    /// then.
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
        if length > width.most() {
            out.truncate(start);
            return Err(width.most());
        }
        let number = (length as u64).to_be_bytes();
        out[start..text].copy_from_slice(&number[number.len() - width.bytes()..]);
        Ok(())
    }
}

/// One message, and the line end that was taken off it: `\n`, `\r\n` or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// What the peer said.
    pub text: &'a [u8],
    /// How it ended the line.
    pub line_end: &'a [u8],
}

impl<'a> Message<'a> {
    /// Takes a line end off the end of `bytes`, if there is one.
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

/// What is known about the bytes that are still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputState {
    /// More are there already.
    More,
    /// Nothing more is there just now.
    Idle,
    /// There will be no more.
    Eof,
}

/// Why there is no next message, and the stream of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unframed {
    /// A message of more bytes than the limit allows.
    TooLong,
    /// The stream ended inside a message whose length was announced.
    Truncated,
}

/// What a connection costs that says little; grown for those that say more.
const FIRST: usize = 2 << 10;

/// Cuts messages off the front of a stream, and holds what is not yet one.
#[derive(Debug)]
pub struct MessageSplitter {
    framing: Framing,
    /// Bytes of the longest message.
    most: usize,
    bytes: Vec<u8>,
    /// What is held lies here.
    held: Range<usize>,
    /// How much of it was searched in vain.
    searched: usize,
    /// How many characters that were.
    characters: usize,
}

impl MessageSplitter {
    /// A cutter for messages of at most `most` bytes.
    pub fn new(framing: Framing, most: usize) -> MessageSplitter {
        let bytes = vec![0; FIRST];
        MessageSplitter { framing, most, bytes, held: 0..0, searched: 0, characters: 0 }
    }

    /// Where the next read goes; never empty while [`MessageSplitter::next`] is asked between reads.
    pub fn space(&mut self) -> &mut [u8] {
        if self.held.is_empty() {
            self.held = 0..0;
        } else if self.held.end == self.bytes.len() {
            self.bytes.copy_within(self.held.clone(), 0);
            self.held = 0..self.held.len();
        }
        if self.held.end == self.bytes.len() {
            self.grow();
        }
        &mut self.bytes[self.held.end..]
    }

    /// The last read brought `n` bytes; true if it filled the space, so that more may be there.
    pub fn filled(&mut self, n: usize) -> bool {
        self.held.end += n;
        let full = self.held.end == self.bytes.len();
        if full && self.held.start == 0 {
            self.grow();
        }
        full
    }

    fn grow(&mut self) {
        let enough = self.most.saturating_add(FIRST);
        let length = self.bytes.len().saturating_mul(4).min(enough).max(self.bytes.len());
        self.bytes.resize(length, 0);
    }

    /// Whether what is held does not end a line.
    pub fn is_open(&self) -> bool {
        self.bytes[self.held.clone()].last().is_some_and(|byte| *byte != b'\n')
    }

    /// The next whole message; `None` when it takes more bytes to tell.
    ///
    /// Fails when the message is longer than the limit, or the stream ends inside it.
    pub fn next(&mut self, flow: InputState) -> Result<Option<Message<'_>>, Unframed> {
        if let Framing::Length(width) = self.framing {
            return self.next_announced(width, flow);
        }
        let Some(length) = self.is_complete(flow) else {
            let held = &self.bytes[self.held.clone()];
            // A line end may be half here.
            let text = held.strip_suffix(b"\r").unwrap_or(held);
            return if text.len() > self.most { Err(Unframed::TooLong) } else { Ok(None) };
        };
        let start = self.held.start;
        self.held.start += length;
        (self.searched, self.characters) = (0, 0);
        let bytes = &self.bytes[start..start + length];
        let message = match self.framing {
            Framing::Chunk | Framing::Line => Message::of(bytes),
            _ => Message { text: bytes, line_end: b"" },
        };
        if message.text.len() > self.most { Err(Unframed::TooLong) } else { Ok(Some(message)) }
    }

    /// As [`MessageSplitter::next`]; a length over the limit fails before the message comes.
    fn next_announced(
        &mut self,
        width: Width,
        flow: InputState,
    ) -> Result<Option<Message<'_>>, Unframed> {
        let held = &self.bytes[self.held.clone()];
        let announced = held
            .get(..width.bytes())
            .map(|number| number.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte)));
        if announced.is_some_and(|length| length > self.most as u64) {
            return Err(Unframed::TooLong);
        }
        let end = announced.map(|length| width.bytes() + length as usize);
        match end.filter(|end| *end <= held.len()) {
            Some(end) => {
                let text = self.held.start + width.bytes()..self.held.start + end;
                self.held.start = text.end;
                Ok(Some(Message { text: &self.bytes[text], line_end: b"" }))
            }
            None if flow == InputState::Eof && !held.is_empty() => Err(Unframed::Truncated),
            None => Ok(None),
        }
    }

    /// The length of the message at the front, line end included, if it is whole.
    fn is_complete(&mut self, flow: InputState) -> Option<usize> {
        let found = match self.framing {
            Framing::Chars(most) => self.counted(most.get()),
            _ => self.line(),
        };
        let held = &self.bytes[self.held.clone()];
        let rest = match flow {
            InputState::Eof => !held.is_empty(),
            InputState::Idle => {
                self.framing == Framing::Chunk && !held.is_empty() && !ends_inside_character(held)
            }
            InputState::More => false,
        };
        found.or(rest.then_some(held.len()))
    }

    fn line(&mut self) -> Option<usize> {
        let held = &self.bytes[self.held.clone()];
        let end = held[self.searched..].iter().position(|byte| *byte == b'\n');
        let length = end.map(|at| self.searched + at + 1);
        self.searched = held.len();
        length
    }

    fn counted(&mut self, most: usize) -> Option<usize> {
        let held = &self.bytes[self.held.clone()];
        while self.characters < most {
            let length = character(&held[self.searched..])?;
            self.searched += length;
            self.characters += 1;
        }
        Some(self.searched)
    }
}

/// Bytes of the UTF-8 character at the front; `None` when it is not all there. A byte that
/// belongs to no character counts as one.
fn character(bytes: &[u8]) -> Option<usize> {
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

/// Whether this is UTF-8 whose last character is not all there. What is no UTF-8 at all has no
/// characters to split.
fn ends_inside_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes out when these reads go in, a lull after each, and the stream then ends.
    fn cut(framing: &str, most: usize, reads: &[&[u8]]) -> Result<Vec<String>, Unframed> {
        let mut cutter = MessageSplitter::new(framing.parse().unwrap(), most);
        let mut messages = Vec::new();
        for read in reads {
            let mut read = *read;
            while !read.is_empty() {
                let space = cutter.space();
                let n = space.len().min(read.len());
                space[..n].copy_from_slice(&read[..n]);
                read = &read[n..];
                cutter.filled(n);
                let flow = if read.is_empty() { InputState::Idle } else { InputState::More };
                drain(&mut cutter, flow, &mut messages)?;
            }
        }
        drain(&mut cutter, InputState::Eof, &mut messages)?;
        Ok(messages)
    }

    fn drain(
        cutter: &mut MessageSplitter,
        flow: InputState,
        into: &mut Vec<String>,
    ) -> Result<(), Unframed> {
        while let Some(message) = cutter.next(flow)? {
            let text = String::from_utf8_lossy(message.text);
            into.push(format!("{text}|{}", message.line_end.escape_ascii()));
        }
        Ok(())
    }

    fn check(framing: &str, reads: &[&str], expected: &[&str]) {
        let reads: Vec<&[u8]> = reads.iter().map(|read| read.as_bytes()).collect();
        let expected = expected.iter().map(|word| word.to_string()).collect();
        assert_eq!(cut(framing, 65536, &reads), Ok(expected), "{framing} {reads:?}");
    }

    #[test]
    fn a_chunk_is_a_line_or_what_came_at_once() {
        check("chunk", &["Michael"], &["Michael|"]);
        check("chunk", &["a\nb\r\n", "c"], &[r"a|\n", r"b|\r\n", "c|"]);
        check("chunk", &["one\ntw", "o\n"], &[r"one|\n", "tw|", r"o|\n"]);
        check("chunk", &["\n", "\n\nx"], &[r"|\n", r"|\n", r"|\n", "x|"]);
    }

    #[test]
    fn a_chunk_is_never_cut_inside_a_character() {
        let word = "é已😀".as_bytes();
        for at in 1..word.len() {
            let cut = cut("chunk", 100, &[&word[..at], &word[at..]]).unwrap().join("");
            assert_eq!(cut.replace('|', ""), "é已😀", "cut at {at}");
        }
        assert_eq!(cut("chunk", 100, &[b"\xff\xe5", b"x"]).unwrap().len(), 2);
        assert_eq!(cut("chunk", 100, &[b"caf\xc3"]).unwrap().len(), 1);
    }

    #[test]
    fn a_chunk_that_fills_the_space_is_still_one() {
        let long = "x".repeat(50_000);
        check("chunk", &[&long], &[&format!("{long}|")]);
        let lines = "a line\n".repeat(10_000);
        assert!(cut("chunk", 100, &[lines.as_bytes()]).unwrap().iter().all(|m| m == r"a line|\n"));
    }

    #[test]
    fn a_line_takes_as_many_reads_as_it_takes() {
        check("line", &["ha", "lf\ntwo\nre", "st"], &[r"half|\n", r"two|\n", "rest|"]);
        check("line", &["a\r", "\nb"], &[r"a|\r\n", "b|"]);
    }

    #[test]
    fn characters_are_counted_and_line_ends_with_them() {
        check("bytes:3", &["abcde", "f已接收到"], &["abc|", "def|", "已接收|", "到|"]);
        check("bytes:2", &["a\nb"], &["a\n|", "b|"]);
        assert_eq!(cut("bytes:2", 9, &[b"\xe5\xb7", b"\xb2\xffz"]).unwrap(), ["已\u{fffd}|", "z|"]);
    }

    #[test]
    fn a_message_past_the_limit_is_an_error_and_one_at_it_is_not() {
        for framing in ["chunk", "line"] {
            assert!(cut(framing, 8, &[b"12345678\r\n12345678\n12345678"]).is_ok());
            assert!(cut("line", 8, &[b"12345678\r", b"\n", b"12345678", b"\n"]).is_ok());
            for reads in [[b"123456789".as_slice()], [b"123456789\n"], [b"1\n123456789"]] {
                assert_eq!(cut(framing, 8, &reads), Err(Unframed::TooLong));
            }
        }
        assert_eq!(cut("bytes:9", 8, &[b"123456789"]), Err(Unframed::TooLong));
    }

    #[test]
    fn length_framing_takes_any_cut_and_empty_messages() {
        let stream = b"\0\x03a\nb\0\0\0\x01c";
        for at in 0..=stream.len() {
            let cut = cut("length:2", 9, &[&stream[..at], &stream[at..]]);
            assert_eq!(cut.unwrap(), ["a\nb|", "|", "c|"], "{at}");
        }
        assert_eq!(cut("length:1", 9, &[b"\x01a\x02bc"]).unwrap(), ["a|", "bc|"]);
        assert_eq!(cut("length:4", 9, &[b"\0\0\0\x01a"]).unwrap(), ["a|"]);
    }

    #[test]
    fn length_over_the_limit_fails_before_the_message_comes() {
        assert_eq!(cut("length:1", 8, &[b"\x09"]), Err(Unframed::TooLong));
        assert_eq!(cut("length:4", 8, &[b"\xff\xff\xff\xff"]), Err(Unframed::TooLong));
        assert!(cut("length:1", 8, &[b"\x0812345678"]).is_ok());
    }

    #[test]
    fn length_framing_that_ends_inside_a_message_is_truncated() {
        for stream in [&b"\0"[..], b"\0\x02", b"\0\x02a", b"\0\x01a\0\x02b"] {
            assert_eq!(cut("length:2", 9, &[stream]), Err(Unframed::Truncated), "{stream:?}");
        }
    }

    #[test]
    fn append_puts_the_length_before_the_text() {
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
    fn framings_are_read() {
        assert_eq!("bytes:10".parse(), Ok(Framing::Chars(NonZeroUsize::new(10).unwrap())));
        assert_eq!("length:4".parse(), Ok(Framing::Length(Width::Four)));
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
        fn nothing_is_lost_and_nothing_added(
            reads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 0..6),
            framing in prop::sample::select(vec!["chunk", "line", "bytes:7"]),
        ) {
            let mut cutter = MessageSplitter::new(framing.parse().unwrap(), 1 << 20);
            let mut out = Vec::new();
            for mut read in reads.iter().map(Vec::as_slice) {
                while !read.is_empty() {
                    let n = read.len().min(cutter.space().len());
                    cutter.space()[..n].copy_from_slice(&read[..n]);
                    read = &read[n..];
                    cutter.filled(n);
                    while let Ok(Some(message)) = cutter.next(InputState::Idle) {
                        out.extend_from_slice(&[message.text, message.line_end].concat());
                    }
                }
            }
            while let Ok(Some(message)) = cutter.next(InputState::Eof) {
                out.extend_from_slice(&[message.text, message.line_end].concat());
            }
            prop_assert_eq!(out, reads.concat());
        }
    }
}
