//! Framing: how a byte stream is split into messages (`--framing`).

use std::num::NonZeroUsize;
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
    /// Messages, and replies, with their length before them: an unsigned big-endian number of this
    /// many bytes, 1, 2 or 4.
    Length(usize),
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
            Some(("length", "1")) => Ok(Framing::Length(1)),
            Some(("length", "2")) => Ok(Framing::Length(2)),
            Some(("length", "4")) => Ok(Framing::Length(4)),
            Some(("length", size)) => {
                Err(format!("'{size}' is not the size of a length: 1, 2 or 4 bytes"))
            }
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
        let Framing::Length(size) = self else {
            fill(out);
            return Ok(());
        };
        let start = out.len();
        let text = start + size;
        out.resize(text, 0);
        fill(out);
        let length = out.len() - text;
        let max = (u32::MAX >> (32 - 8 * size)) as usize;
        if length > max {
            out.truncate(start);
            return Err(max);
        }
        let number = (length as u64).to_be_bytes();
        out[start..text].copy_from_slice(&number[number.len() - size..]);
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

    /// All of `text`, whatever it ends with.
    pub fn without_end(text: &'a [u8]) -> Message<'a> {
        Message { text, line_end: b"" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!("length:4".parse(), Ok(Framing::Length(4)));
        let bad =
            ["", "bytes", "bytes:", "bytes:0", "bytes:-1", "bytes:x", "Line", "lines", "line:"];
        for word in
            bad.into_iter().chain(["length", "length:", "length:3", "length:0", "length:+1"])
        {
            assert!(word.parse::<Framing>().is_err(), "{word}");
        }
    }
}
