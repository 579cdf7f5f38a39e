//! One content decoder with its output.

use std::ops::Range;

use crate::http::error::Error;

/// The output buffer of one stage, in bytes.
const BUFFER: usize = 64 * 1024;

/// Decodes one content coding.
pub trait Decoder: Send {
    /// Takes from `input` and fills `out`; returns how much of `out` is filled. Nothing taken and
    /// nothing filled means that more input is needed. Bytes after the end of the coding are
    /// discarded, and counted by [`Decoder::trailing_bytes`].
    fn decode(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Error>;

    /// Whether the end of the coding has been read.
    fn is_complete(&self) -> bool;

    /// The number of bytes after the end.
    fn trailing_bytes(&self) -> u64;

    /// The input ended before the coding did: further calls return what is buffered.
    fn flush_truncated(&mut self) {}
}

/// A stage: a decoder and its output.
pub struct DecoderStage {
    pub name: String,
    pub decoder: Box<dyn Decoder>,
    pub output: Box<[u8]>,
    /// The part of the buffer that the next stage has not read.
    pub unread: Range<usize>,
    /// Bytes of input so far.
    pub consumed: u64,
    /// Bytes of output so far.
    pub produced: u64,
}

impl DecoderStage {
    /// The stage of `decoder`, whose coding is `name`.
    pub fn new(name: &str, decoder: Box<dyn Decoder>) -> DecoderStage {
        let name = name.trim_start_matches("x-").to_string();
        let output = vec![0; BUFFER].into_boxed_slice();
        DecoderStage { name, decoder, output, unread: 0..0, consumed: 0, produced: 0 }
    }

    /// Decodes if the previous output is used; returns whether anything was read or written.
    pub fn run(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        if !self.unread.is_empty() {
            return Ok(false);
        }
        let before = input.len();
        let made = self.decoder.decode(input, &mut self.output)?;
        let taken = before - input.len();
        self.unread = 0..made;
        self.consumed += taken as u64;
        self.produced += made as u64;
        Ok(made > 0 || taken > 0)
    }
}
