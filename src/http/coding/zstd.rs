//! `zstd` (RFC 8878; as a content coding RFC 9659, windows up to 8 MB).
//!
//! ruzstd gets one complete block at a time, because a few bytes of input can hold thousands
//! of blocks of 128 KiB each, and it would decode as many as it is given.

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::Read;

use super::decoder::Decoder;
use crate::http::error::Error;

/// The largest window RFC 9659 lets a server use, with the slack `8 MB` leaves.
const WINDOW: usize = 8 << 20;
/// The largest block (RFC 8878 §3.1.1.2.4).
const BLOCK: usize = 128 * 1024;
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The smallest frame: after it the decoder allocates once for the next one.
const SMALLEST: [u8; 9] = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00];

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the magic and the header of a frame, or in what follows the last frame.
    Header,
    /// In a skippable frame, with so many bytes missing.
    Skip(usize),
    /// In a block, its header or its checksum.
    Block,
    /// A frame is decoded, and its output is not yet returned.
    Flush,
    Trailing,
}

pub struct Zstd {
    frame: FrameDecoder,
    state: State,
    /// The beginning of what `state` needs completely.
    buffer: Vec<u8>,
    has_checksum: bool,
    frames: u64,
    produced: u64,
    trailing_bytes: u64,
    truncated: bool,
}

impl Zstd {
    /// A decoder whose window may have `window` bytes, at most 8 MiB.
    pub fn new(window: usize) -> Zstd {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(window.min(WINDOW) as u64);
        // Cannot fail for this constant, and would be harmless: the next frame resets the decoder.
        let _ = frame.init(SMALLEST.as_slice());
        Zstd {
            frame,
            state: State::Header,
            buffer: Vec::new(),
            has_checksum: false,
            frames: 0,
            produced: 0,
            trailing_bytes: 0,
            truncated: false,
        }
    }

    /// Whether the buffer has `count` bytes, after it was filled up to them.
    fn collect(&mut self, input: &mut &[u8], count: usize) -> bool {
        let taken = count.saturating_sub(self.buffer.len()).min(input.len());
        self.buffer.extend_from_slice(&input[..taken]);
        *input = &input[taken..];
        self.buffer.len() >= count
    }

    fn enter(&mut self, state: State) {
        self.buffer.clear();
        self.state = state;
    }

    fn header(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        let has_descriptor = self.collect(input, 5);
        if !could_begin(&self.buffer) {
            if self.frames == 0 {
                return Err(Error::coding("not zstd, despite the header"));
            }
            self.trailing_bytes += self.buffer.len() as u64;
            self.enter(State::Trailing);
        } else if self.buffer.len() >= 4 && self.buffer[..4] != MAGIC {
            if self.collect(input, 8) {
                let length = self.buffer[4..8].iter().rev();
                let length = length.fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                self.enter(State::Skip(length));
            }
        } else if has_descriptor && self.collect(input, 4 + header_size(self.buffer[4])) {
            self.has_checksum = self.buffer[4] & 4 != 0;
            self.frame.reset(self.buffer.as_slice()).map_err(broken)?;
            self.produced = 0;
            self.enter(State::Block);
        }
        Ok(())
    }

    fn skip(&mut self, input: &mut &[u8], left: usize) {
        let count = input.len().min(left);
        *input = &input[count..];
        self.state = State::Skip(left - count);
        if left == count {
            self.frames += 1;
            self.enter(State::Header);
        }
    }

    fn block(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        if !self.collect(input, 3) {
            return Ok(());
        }
        let bad = || Error::coding("broken zstd coding: block header");
        let len = self.block_len().ok_or_else(bad)?;
        if self.collect(input, len) {
            let one = BlockDecodingStrategy::UptoBlocks(1);
            let last = self.frame.decode_blocks(self.buffer.as_slice(), one).map_err(broken)?;
            self.enter(if last { State::Flush } else { State::Block });
        }
        Ok(())
    }

    /// The length of the block in the buffer with its header and checksum; none while the header is
    /// incomplete, and for a malformed one.
    fn block_len(&self) -> Option<usize> {
        let header = self.buffer.get(..3)?;
        let word = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        let (last, kind, size) = (word & 1 == 1, word >> 1 & 3, (word >> 3) as usize);
        let body = if kind == 1 { 1 } else { size };
        let sum = if last && self.has_checksum { 4 } else { 0 };
        (kind != 3 && size <= BLOCK).then_some(3 + body + sum)
    }

    /// The last block, if nothing but bytes of its checksum is missing.
    fn block_without_checksum(&mut self) -> Option<Vec<u8>> {
        let len = self.block_len()?;
        let is_last = self.has_checksum && self.buffer[0] & 1 == 1;
        (is_last && self.buffer.len() + 4 >= len).then(|| {
            self.buffer.resize(len, 0);
            std::mem::take(&mut self.buffer)
        })
    }

    /// Checks a frame after its last byte: its checksum, and its size if the header has it.
    fn close(&mut self) -> Result<(), Error> {
        let expected = self.frame.get_checksum_from_data();
        if self.has_checksum && !self.truncated && expected != self.frame.get_calculated_checksum()
        {
            return Err(Error::coding("broken zstd coding: checksum"));
        }
        let size = self.frame.content_size();
        if size > 0 && size != self.produced && !self.truncated {
            return Err(Error::coding("broken zstd coding: content size"));
        }
        self.frames += 1;
        self.enter(State::Header);
        Ok(())
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        match self.state {
            State::Header => self.header(input)?,
            State::Skip(left) => self.skip(input, left),
            State::Block => self.block(input)?,
            State::Flush => self.close()?,
            State::Trailing => {
                self.trailing_bytes += input.len() as u64;
                *input = &[];
            }
        }
        Ok(())
    }
}

/// Whether these bytes are, or may become, the start of a frame of either kind.
fn could_begin(bytes: &[u8]) -> bool {
    let starts = |magic: [u8; 4]| bytes.iter().zip(&magic).all(|(a, b)| a == b);
    let skippable = bytes.first().map_or(0x50, |first| first & 0x0f | 0x50);
    starts(MAGIC) || starts([skippable, 0x2a, 0x4d, 0x18])
}

/// The size of a frame header behind its magic, from its descriptor (RFC 8878 §3.1.1.1.1).
fn header_size(descriptor: u8) -> usize {
    let single = descriptor & 0x20 != 0;
    let window = if single { 0 } else { 1 };
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = [usize::from(single), 2, 4, 8][usize::from(descriptor >> 6)];
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
    fn decode(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Error> {
        loop {
            if matches!(self.state, State::Block | State::Flush) {
                let made = self.frame.read(out).unwrap_or(0);
                self.produced += made as u64;
                if made > 0 {
                    return Ok(made);
                }
            }
            let (state, before) = (self.state, input.len());
            self.step(input)?;
            if input.len() == before && self.state == state {
                return Ok(0);
            }
        }
    }

    fn is_complete(&self) -> bool {
        let between = self.state == State::Header && self.buffer.is_empty();
        self.frames > 0 && !self.truncated && (self.state == State::Trailing || between)
    }

    fn trailing_bytes(&self) -> u64 {
        self.trailing_bytes
    }

    /// The decoder buffers a window until the last block. That is the one received, if only its
    /// checksum is missing, else an empty one.
    fn flush_truncated(&mut self) {
        if self.state != State::Block {
            return;
        }
        let last = self.block_without_checksum().unwrap_or_else(|| vec![1, 0, 0, 0, 0, 0, 0]);
        self.truncated = true;
        if self.frame.decode_blocks(last.as_slice(), BlockDecodingStrategy::All).is_ok() {
            self.enter(State::Flush);
        }
    }
}
