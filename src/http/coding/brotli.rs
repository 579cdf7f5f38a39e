//! `br` (RFC 7932). The window is read from the first byte, before anything is allocated for it.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::decoder::Decoder;
use crate::http::error::Error;

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// Undoes `br`.
pub struct Brotli {
    state: Box<State>,
    window: usize,
    begun: bool,
    ended: bool,
    junk: u64,
}

impl Brotli {
    /// A decoder whose window may have `window` bytes.
    pub fn new(window: usize) -> Brotli {
        let alloc = StandardAlloc::default;
        let state = Box::new(State::new_strict(alloc(), alloc(), alloc()));
        Brotli { state, window, begun: false, ended: false, junk: 0 }
    }

    /// Refuses a window larger than ours (63).
    fn begin(&mut self, first: u8) -> Result<(), Error> {
        let size = 1_usize << window_bits(first);
        if size > self.window {
            let most = self.window;
            return Err(Error::limit(format!("brotli window of {size} bytes, more than {most}")));
        }
        // One allocation, touched only as far as the body reaches, instead of growing copies.
        self.state.set_initial_ring_buffer_size(u32::MAX);
        self.begun = true;
        Ok(())
    }
}

/// The window's size as a power of two (RFC 7932 §9.1).
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
    fn name(&self) -> &'static str {
        "br"
    }

    fn decode(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Error> {
        if self.ended {
            self.junk += input.len() as u64;
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
            // The bytes before the break are good; the next call meets the break again.
            BrotliResult::ResultFailure if made == 0 => {
                return Err(Error::coding("broken br coding"));
            }
            _ => {}
        }
        Ok(made)
    }

    fn whole(&self) -> bool {
        self.ended
    }

    fn junk(&self) -> u64 {
        self.junk
    }
}
