//! `zstd` (RFC 8878; as a content coding RFC 9659, windows up to 8 MB).
//!
//! ruzstd is handed one whole block at a time, because a few bytes of input can hold thousands
//! of blocks of 128 KiB each, and it would decode as many as it is given.

use std::io::Read;

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::decoder::Decoder;
use crate::http::error::Error;

/// The largest window RFC 9659 lets a server use, with the slack `8 MB` leaves.
const WINDOW: usize = 8 << 20;
/// The largest block (RFC 8878 §3.1.1.2.4).
const BLOCK: usize = 128 * 1024;
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The smallest frame there is: its decoder makes room in one go when it meets the next.
const SMALLEST: [u8; 9] = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00];

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A frame's four first bytes, or what follows the last frame.
    Magic,
    /// The header with its magic, so many bytes.
    Header(usize),
    /// A skippable frame's length, then its content.
    SkipLength,
    Skip(u32),
    /// A block's three bytes, then the block with what must come with it.
    BlockHeader,
    Block(usize),
    /// A whole frame is decoded; what is left of it goes out.
    Flush,
    Junk,
}

/// Undoes `zstd`.
pub struct Zstd {
    frame: FrameDecoder,
    part: State,
    held: Vec<u8>,
    checked: bool,
    frames: u64,
    made: u64,
    junk: u64,
    cut: bool,
}

impl Zstd {
    /// A decoder whose window may have `window` bytes, and never more than 8 MiB.
    pub fn new(window: usize) -> Zstd {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(window.min(WINDOW) as u64);
        // Failure is impossible for this constant, and harmless: the next frame starts afresh.
        let _ = frame.init(SMALLEST.as_slice());
        let part = State::Magic;
        let held = Vec::new();
        Zstd { frame, part, held, checked: false, frames: 0, made: 0, junk: 0, cut: false }
    }

    fn gather(&mut self, input: &mut &[u8], count: usize) -> bool {
        let piece = count.saturating_sub(self.held.len()).min(input.len());
        self.held.extend_from_slice(&input[..piece]);
        *input = &input[piece..];
        self.held.len() >= count
    }

    fn enter(&mut self, part: State) {
        self.held.clear();
        self.part = part;
    }

    fn magic(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        let whole = self.gather(input, 5);
        if !could_begin(&self.held) {
            if self.frames == 0 {
                return Err(Error::coding("not zstd, although the header says so"));
            }
            self.junk += self.held.len() as u64;
            self.enter(State::Junk);
        } else if self.held.len() >= 4 && self.held[..4] != MAGIC {
            self.part = State::SkipLength;
        } else if whole {
            self.part = State::Header(4 + header_size(self.held[4]));
        }
        Ok(())
    }

    fn header(&mut self, input: &mut &[u8], size: usize) -> Result<(), Error> {
        if !self.gather(input, size) {
            return Ok(());
        }
        self.checked = self.held[4] & 4 != 0;
        self.frame.reset(self.held.as_slice()).map_err(broken)?;
        self.made = 0;
        self.enter(State::BlockHeader);
        Ok(())
    }

    fn block_header(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        if !self.gather(input, 3) {
            return Ok(());
        }
        let word = u32::from_le_bytes([self.held[0], self.held[1], self.held[2], 0]);
        let (last, kind, size) = (word & 1 == 1, word >> 1 & 3, (word >> 3) as usize);
        if kind == 3 || size > BLOCK {
            return Err(Error::coding("broken zstd coding: block header"));
        }
        let body = if kind == 1 { 1 } else { size };
        let sum = if last && self.checked { 4 } else { 0 };
        self.part = State::Block(3 + body + sum);
        Ok(())
    }

    fn block(&mut self, input: &mut &[u8], size: usize) -> Result<(), Error> {
        if !self.gather(input, size) {
            return Ok(());
        }
        let one = BlockDecodingStrategy::UptoBlocks(1);
        let last = self.frame.decode_blocks(self.held.as_slice(), one).map_err(broken)?;
        self.enter(if last { State::Flush } else { State::BlockHeader });
        Ok(())
    }

    /// Checks a frame whose every byte is out: its checksum, and its size where it told one.
    fn close(&mut self) -> Result<(), Error> {
        let said = self.frame.get_checksum_from_data();
        if self.checked && !self.cut && said != self.frame.get_calculated_checksum() {
            return Err(Error::coding("broken zstd coding: checksum"));
        }
        let size = self.frame.content_size();
        if size > 0 && size != self.made && !self.cut {
            return Err(Error::coding("broken zstd coding: content size"));
        }
        self.frames += 1;
        self.enter(State::Magic);
        Ok(())
    }

    fn skip(&mut self, input: &mut &[u8], left: u32) {
        let count = input.len().min(left as usize);
        *input = &input[count..];
        self.part = State::Skip(left - count as u32);
        if left as usize == count {
            self.frames += 1;
            self.enter(State::Magic);
        }
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        match self.part {
            State::Magic => self.magic(input)?,
            State::Header(size) => self.header(input, size)?,
            State::SkipLength => {
                if self.gather(input, 8) {
                    let at = |k: usize| self.held[4 + k];
                    let length = u32::from_le_bytes([at(0), at(1), at(2), at(3)]);
                    self.enter(State::Skip(length));
                }
            }
            State::Skip(left) => self.skip(input, left),
            State::BlockHeader => self.block_header(input)?,
            State::Block(size) => self.block(input, size)?,
            State::Flush => self.close()?,
            State::Junk => {
                self.junk += input.len() as u64;
                *input = &[];
            }
        }
        Ok(())
    }
}

/// Whether these bytes are, or may become, the start of a frame of either kind.
fn could_begin(held: &[u8]) -> bool {
    let four = &held[..held.len().min(4)];
    let skippable = [0x2a, 0x4d, 0x18];
    let starts = |magic: &[u8]| four.iter().zip(magic).all(|(a, b)| a == b);
    starts(&MAGIC)
        || four.first().is_some_and(|byte| byte & 0xf0 == 0x50)
            && four[1..].iter().zip(&skippable).all(|(a, b)| a == b)
}

/// The size of a frame header behind its magic, from its descriptor (RFC 8878 §3.1.1.1.1).
fn header_size(descriptor: u8) -> usize {
    let single = descriptor & 0x20 != 0;
    let window = if single { 0 } else { 1 };
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = match descriptor >> 6 {
        0 => usize::from(single),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    1 + window + dictionary + content
}

fn broken(error: FrameDecoderError) -> Error {
    match error {
        FrameDecoderError::WindowSizeTooBig { requested, max } => {
            Error::limit(format!("zstd window of {requested} bytes, more than {max}"))
        }
        _ => Error::coding("broken zstd coding"),
    }
}

impl Decoder for Zstd {
    fn name(&self) -> &'static str {
        "zstd"
    }

    fn decode(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Error> {
        loop {
            if matches!(self.part, State::BlockHeader | State::Block(_) | State::Flush) {
                let made = self.frame.read(out).unwrap_or(0);
                self.made += made as u64;
                if made > 0 {
                    return Ok(made);
                }
            }
            let (part, before) = (self.part, input.len());
            self.step(input)?;
            if input.len() == before && self.part == part {
                return Ok(0);
            }
        }
    }

    fn whole(&self) -> bool {
        let between = self.part == State::Magic && self.held.is_empty();
        self.frames > 0 && !self.cut && (self.part == State::Junk || between)
    }

    fn junk(&self) -> u64 {
        self.junk
    }

    /// The decoder keeps a window's worth until the last block: an empty one brings it out.
    fn cut(&mut self) {
        if !matches!(self.part, State::BlockHeader | State::Block(_)) {
            return;
        }
        self.cut = true;
        let last = [1, 0, 0, 0, 0, 0, 0];
        if self.frame.decode_blocks(last.as_slice(), BlockDecodingStrategy::All).is_ok() {
            self.enter(State::Flush);
        }
    }
}
