//! `gzip` (RFC 1952), one or more members, and `deflate`: zlib's format (RFC 1950) as the standard
//! says, or bare deflate (RFC 1951) as many servers took it to mean. flate2 reads all three and
//! checks their sums; the first two bytes say which it is, and whether a further member follows.

use flate2::{Decompress, FlushDecompress, Status};

use super::decoder::Decoder;
use crate::http::error::Error;

/// The first bytes of every gzip member.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The window of deflate, 32 KiB, as a power of two.
const WINDOW_BITS: u8 = 15;
/// The most members that may be almost empty. One costs as much as kilobytes of data, and nested
/// codings have a million of them in a few kilobytes.
const MAX_TINY_MEMBERS: u64 = 10_000;
/// Decoded bytes per member, on average, below which members are almost empty.
const TINY: u64 = 16;

/// A content coding that holds deflated data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Any number of members.
    Gzip,
    /// One stream, with zlib's header or without.
    Deflate,
}

enum State {
    /// Before a stream, while its first two bytes are read.
    Start,
    Data(Decompress),
    /// The bytes before this error are delivered.
    Broken(Error),
    /// After the last stream: everything is discarded.
    Ended,
}

pub struct Inflate {
    coding: Coding,
    state: State,
    /// The first bytes of a stream, until there are two; in the end, of the trailing bytes.
    first: Vec<u8>,
    members: u64,
    /// Decoded bytes of all members.
    decoded: u64,
    trailing_bytes: u64,
}

impl Inflate {
    pub fn new(coding: Coding) -> Inflate {
        let first = Vec::with_capacity(2);
        Inflate { coding, state: State::Start, first, members: 0, decoded: 0, trailing_bytes: 0 }
    }

    /// Collects the first two bytes, then starts the decoder they select. After a gzip member
    /// anything but another one is discarded.
    fn start(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let count = input.len().min(2 - self.first.len());
        self.first.extend_from_slice(&input[..count]);
        *input = &input[count..];
        let decompress = match (self.coding, &self.first[..]) {
            (Coding::Gzip, first) if !MAGIC.starts_with(first) && self.members == 0 => {
                return Err(Error::coding("not gzip, despite the header"));
            }
            (Coding::Gzip, first) if !MAGIC.starts_with(first) => {
                self.state = State::Ended;
                return Ok(0);
            }
            (Coding::Gzip, [_, _]) => self.next_member()?,
            (Coding::Deflate, &[method, flags]) => Decompress::new(is_zlib(method, flags)),
            _ => return Ok(0),
        };
        self.state = State::Data(decompress);
        let first = std::mem::take(&mut self.first);
        self.inflate(&mut first.as_slice(), out)
    }

    fn inflate(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let State::Data(decompress) = &mut self.state else { return Ok(0) };
        let (read, made) = (decompress.total_in(), decompress.total_out());
        let status = decompress.decompress(input, out, FlushDecompress::None);
        let read = usize::try_from(decompress.total_in() - read).unwrap_or(usize::MAX);
        let made = decompress.total_out() - made;
        *input = input.get(read..).unwrap_or_default();
        self.decoded += made;
        match status {
            Ok(Status::StreamEnd) => {
                self.members += 1;
                let is_gzip = self.coding == Coding::Gzip;
                self.state = if is_gzip { State::Start } else { State::Ended };
            }
            Ok(_) => {}
            Err(error) if made == 0 => return Err(broken(self.coding, error.message())),
            Err(error) => self.state = State::Broken(broken(self.coding, error.message())),
        }
        Ok(usize::try_from(made).unwrap_or(usize::MAX))
    }

    /// A decoder for the next gzip member; fails with 63 when too many were almost empty.
    fn next_member(&self) -> Result<Decompress, Error> {
        let count = self.members;
        if count > MAX_TINY_MEMBERS && self.decoded < count * TINY {
            return Err(Error::limit(format!("{count} almost empty gzip members")));
        }
        Ok(Decompress::new_gzip(WINDOW_BITS))
    }
}

/// The error of a broken coding. Only failed checks are named: zlib-rs returns another message for
/// the same broken block when it has more input.
fn broken(coding: Coding, message: Option<&str>) -> Error {
    let name = if coding == Coding::Gzip { "gzip" } else { "deflate" };
    match message.filter(|message| message.contains("check")) {
        Some(message) => Error::coding(format!("broken {name} coding: {message}")),
        None => Error::coding(format!("broken {name} coding")),
    }
}

/// Whether two bytes are zlib's header: method 8, window at most 32 KiB, check bits right.
fn is_zlib(method: u8, flags: u8) -> bool {
    method & 15 == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

impl Decoder for Inflate {
    fn decode(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Error> {
        match &self.state {
            State::Start => self.start(input, out),
            State::Data(_) => self.inflate(input, out),
            State::Broken(error) => Err(error.clone()),
            State::Ended => {
                self.trailing_bytes += input.len() as u64;
                *input = &[];
                Ok(0)
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.members > 0 && matches!(self.state, State::Start | State::Ended)
    }

    fn trailing_bytes(&self) -> u64 {
        self.trailing_bytes + self.first.len() as u64
    }
}
