//! `deflate`: zlib's format (RFC 1950) as the standard says, or bare deflate (RFC 1951) as many
//! servers took it to mean. The first two bytes tell which: zlib's are a multiple of 31.

use flate2::{Decompress, FlushDecompress, Status};

use super::Decoder;
use crate::http::error::Error;

/// Inflates into `out`; answers how much of it is filled and whether the stream ended.
pub fn inflate(
    state: &mut Decompress,
    input: &mut &[u8],
    out: &mut [u8],
    name: &str,
) -> Result<(usize, bool), Error> {
    let (read, made) = (state.total_in(), state.total_out());
    let status = state.decompress(input, out, FlushDecompress::None);
    let read = usize::try_from(state.total_in() - read).unwrap_or(usize::MAX);
    let made = usize::try_from(state.total_out() - made).unwrap_or(usize::MAX);
    *input = input.get(read..).unwrap_or_default();
    match status {
        Ok(Status::StreamEnd) => Ok((made, true)),
        Ok(_) => Ok((made, false)),
        // The bytes before the break are good; the next call meets the break again.
        Err(_) if made > 0 => Ok((made, false)),
        Err(error) => Err(Error::coding(format!("broken {name} coding: {error}"))),
    }
}

/// Undoes `deflate`.
pub struct Deflate {
    /// The first bytes, until the dialect is known.
    first: Vec<u8>,
    state: Option<Decompress>,
    ended: bool,
    junk: u64,
}

impl Deflate {
    pub fn new() -> Deflate {
        Deflate { first: Vec::new(), state: None, ended: false, junk: 0 }
    }

    /// Whether two bytes are zlib's header: method 8, window at most 32 KiB, check bits right.
    fn is_zlib(first: &[u8]) -> bool {
        let [method, flags] = *first else { return false };
        method & 15 == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]) % 31 == 0
    }

    /// Gathers the first two bytes, then gives them to the right decoder.
    fn begin(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let count = (2 - self.first.len()).min(input.len());
        self.first.extend_from_slice(&input[..count]);
        *input = &input[count..];
        if self.first.len() < 2 {
            return Ok(0);
        }
        let mut state = Decompress::new(Deflate::is_zlib(&self.first));
        let mut first = self.first.as_slice();
        let (made, ended) = inflate(&mut state, &mut first, out, "deflate")?;
        (self.state, self.ended) = (Some(state), ended);
        self.junk += first.len() as u64;
        Ok(made)
    }
}

impl Decoder for Deflate {
    fn name(&self) -> &'static str {
        "deflate"
    }

    fn decode(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Error> {
        if self.ended {
            self.junk += input.len() as u64;
            *input = &[];
            return Ok(0);
        }
        let Some(state) = &mut self.state else {
            return self.begin(input, out);
        };
        let (made, ended) = inflate(state, input, out, "deflate")?;
        self.ended = ended;
        Ok(made)
    }

    fn whole(&self) -> bool {
        self.ended
    }

    fn junk(&self) -> u64 {
        self.junk
    }
}
