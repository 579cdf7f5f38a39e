//! `br` (RFC 7932). The window size is read from the first byte, before it is allocated.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::decoder::Decoder;
use crate::http::error::Error;

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

pub struct Brotli {
    state: Box<State>,
    window: usize,
    begun: bool,
    ended: bool,
    trailing_bytes: u64,
}

impl Brotli {
    /// A decoder whose window may have `window` bytes.
    pub fn new(window: usize) -> Brotli {
        let alloc = StandardAlloc::default;
        let state = Box::new(State::new_strict(alloc(), alloc(), alloc()));
        Brotli { state, window, begun: false, ended: false, trailing_bytes: 0 }
    }

    /// Fails with 63 on a window larger than the limit.
    fn begin(&mut self, first: u8) -> Result<(), Error> {
        let size = 1_usize << window_bits(first);
        if size > self.window {
            let max = self.window;
            return Err(Error::limit(format!("brotli window of {size} bytes, more than {max}")));
        }
        // One allocation, of which only the used pages are touched, instead of growing copies.
        self.state.set_initial_ring_buffer_size(u32::MAX);
        self.begun = true;
        Ok(())
    }
}

/// The size of the window as a power of two (RFC 7932 §9.1).
fn window_bits(first: u8) -> u32 {
    let (low, high) = (first >> 1 & 7, first >> 4 & 7);
    match (first & 1, low, high) {
        (0, _, _) => 16,
        (_, 0, 0) => 17,
        (_, 0, high) => 8 + u32::from(high),
        (_, low, _) => 17 + u32::from(low),
    }
}

impl Decoder for Brotli {
    fn decode(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Error> {
        if self.ended {
            self.trailing_bytes += input.len() as u64;
            *input = &[];
            return Ok(0);
        }
        if !self.begun {
            let Some(first) = input.first() else { return Ok(0) };
            self.begin(*first)?;
        }
        let (mut left, mut read) = (input.len(), 0);
        let (mut room, mut made, mut total) = (out.len(), 0, 0);
        let (source, state) = (*input, &mut *self.state);
        let result = BrotliDecompressStream(
            &mut left, &mut read, source, &mut room, &mut made, out, &mut total, state,
        );
        *input = input.get(read..).unwrap_or_default();
        match result {
            BrotliResult::ResultSuccess => self.ended = true,
            // The bytes before the error are valid; the next call returns the error.
            BrotliResult::ResultFailure if made == 0 => {
                return Err(Error::coding("broken br coding"));
            }
            _ => {}
        }
        Ok(made)
    }

    fn is_complete(&self) -> bool {
        self.ended
    }

    fn trailing_bytes(&self) -> u64 {
        self.trailing_bytes
    }
}
