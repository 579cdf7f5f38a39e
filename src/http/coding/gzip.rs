//! `gzip` (RFC 1952): one or more members, each with a header, deflated data, a checksum and a
//! length. Every member's trailer is checked; that is what makes a cut visible.

use flate2::{Crc, Decompress};

use super::Decoder;
use super::deflate::inflate;
use crate::http::error::Error;

const HCRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
/// Members that may be almost empty. Starting one costs as much as kilobytes of data, and nested
/// codings bring a million of them in a few kilobytes.
const MAX_TINY_MEMBERS: u64 = 10_000;
/// Decoded bytes per member, on average, below which members are almost empty.
const TINY: u64 = 16;

/// Which part of a member comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The ten fixed bytes.
    Fixed,
    ExtraLength,
    Extra(u16),
    Name,
    Comment,
    HeaderCrc,
    Data,
    Trailer,
    /// Behind the last member: everything is dropped.
    Junk,
}

/// Undoes `gzip`.
pub struct Gzip {
    part: Part,
    /// Bytes of the current fixed-size part.
    held: Vec<u8>,
    flags: u8,
    members: u64,
    /// Decoded bytes of all members.
    made: u64,
    header: Crc,
    data: Crc,
    state: Decompress,
    junk: u64,
}

impl Gzip {
    pub fn new() -> Gzip {
        Gzip {
            part: Part::Fixed,
            held: Vec::with_capacity(10),
            flags: 0,
            members: 0,
            made: 0,
            header: Crc::new(),
            data: Crc::new(),
            state: Decompress::new(false),
            junk: 0,
        }
    }

    /// Gathers `count` bytes into `held`; true when they are there.
    fn gather(&mut self, input: &mut &[u8], count: usize) -> bool {
        let piece = (count - self.held.len()).min(input.len());
        self.held.extend_from_slice(&input[..piece]);
        *input = &input[piece..];
        self.held.len() == count
    }

    /// As [`Gzip::gather`], for parts the header's checksum covers.
    fn gather_header(&mut self, input: &mut &[u8], count: usize) -> bool {
        let whole = self.gather(input, count);
        if whole {
            self.header.update(&self.held);
        }
        whole
    }

    /// The part behind `part`, as the flags say.
    fn after(&self, part: Part) -> Part {
        let optional = [
            (Part::ExtraLength, EXTRA),
            (Part::Name, NAME),
            (Part::Comment, COMMENT),
            (Part::HeaderCrc, HCRC),
        ];
        let done = match part {
            Part::Fixed => 0,
            Part::ExtraLength | Part::Extra(_) => 1,
            Part::Name => 2,
            Part::Comment => 3,
            _ => 4,
        };
        let next = optional[done..].iter().find(|(_, flag)| self.flags & flag != 0);
        next.map_or(Part::Data, |(part, _)| *part)
    }

    fn enter(&mut self, part: Part) {
        self.held.clear();
        self.part = part;
    }

    /// The fixed bytes. Behind a first member anything but another one is junk.
    fn fixed(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        const MAGIC: &[u8] = &[0x1f, 0x8b];
        let whole = self.gather_header(input, 10);
        let known = self.held.len().min(MAGIC.len());
        if self.held[..known] != MAGIC[..known] {
            if self.members == 0 {
                return Err(Error::coding("not gzip, although the header says so"));
            }
            self.junk += self.held.len() as u64;
            self.enter(Part::Junk);
            return Ok(());
        }
        if whole {
            if self.held[2] != 8 || self.held[3] & 0xe0 != 0 {
                return Err(Error::coding("broken gzip coding: unknown method or flags"));
            }
            self.flags = self.held[3];
            self.enter(self.after(Part::Fixed));
        }
        Ok(())
    }

    /// Skips up to and including a NUL.
    fn text(&mut self, input: &mut &[u8]) {
        let end = input.iter().position(|byte| *byte == 0).map(|at| at + 1);
        let count = end.unwrap_or(input.len());
        self.header.update(&input[..count]);
        *input = &input[count..];
        if end.is_some() {
            self.enter(self.after(self.part));
        }
    }

    fn extra(&mut self, input: &mut &[u8], left: u16) {
        let count = input.len().min(usize::from(left));
        self.header.update(&input[..count]);
        *input = &input[count..];
        self.part = Part::Extra(left - count as u16);
        if usize::from(left) == count {
            self.enter(self.after(self.part));
        }
    }

    fn header_crc(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        if self.gather(input, 2) {
            let said = u16::from_le_bytes([self.held[0], self.held[1]]);
            if said != self.header.sum() as u16 {
                return Err(Error::coding("broken gzip coding: header checksum"));
            }
            self.enter(Part::Data);
        }
        Ok(())
    }

    fn data(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let (made, ended) = inflate(&mut self.state, input, out, "gzip")?;
        self.data.update(&out[..made]);
        self.made += made as u64;
        if ended {
            self.enter(Part::Trailer);
        }
        Ok(made)
    }

    /// Checksum and length (modulo 2^32) of the data.
    fn trailer(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        if !self.gather(input, 8) {
            return Ok(());
        }
        let word = |at: usize| {
            let byte = |k: usize| u32::from(self.held[at + k]);
            byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24
        };
        if word(0) != self.data.sum() || word(4) != self.data.amount() {
            return Err(Error::coding("broken gzip coding: checksum or length"));
        }
        self.members += 1;
        if self.members > MAX_TINY_MEMBERS && self.made < self.members * TINY {
            let count = self.members;
            return Err(Error::limit(format!("{count} gzip members with almost nothing in them")));
        }
        self.header.reset();
        self.data.reset();
        self.state.reset(false);
        self.enter(Part::Fixed);
        Ok(())
    }

    fn step(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Error> {
        match self.part {
            Part::Fixed => self.fixed(input)?,
            Part::ExtraLength => {
                if self.gather_header(input, 2) {
                    let length = u16::from_le_bytes([self.held[0], self.held[1]]);
                    self.enter(Part::Extra(length));
                }
            }
            Part::Extra(left) => self.extra(input, left),
            Part::Name | Part::Comment => self.text(input),
            Part::HeaderCrc => self.header_crc(input)?,
            Part::Data => return self.data(input, out),
            Part::Trailer => self.trailer(input)?,
            Part::Junk => {
                self.junk += input.len() as u64;
                *input = &[];
            }
        }
        Ok(0)
    }
}

impl Decoder for Gzip {
    fn name(&self) -> &'static str {
        "gzip"
    }

    fn decode(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Error> {
        loop {
            let (part, before) = (self.part, input.len());
            let made = self.step(input, out)?;
            if made > 0 || (input.len() == before && self.part == part) {
                return Ok(made);
            }
        }
    }

    fn whole(&self) -> bool {
        let between = self.part == Part::Fixed && self.held.len() < 2;
        self.members > 0 && (self.part == Part::Junk || between)
    }

    fn junk(&self) -> u64 {
        let stray = if self.part == Part::Fixed { self.held.len() as u64 } else { 0 };
        self.junk + stray
    }
}
