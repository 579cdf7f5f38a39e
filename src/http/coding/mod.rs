//! Content codings (RFC 9110 §8.4): what a body passes through on its way out.
//!
//! A [`DecoderChain`] undoes the codings in the reverse of the order the peer applied them. Each stage
//! holds one piece of output and nothing else grows: windows are capped before they are
//! allocated, and a stage that makes too much of too little stops the whole (a bomb).

mod brotli;
mod decoder;
mod inflate;
mod zstd;

use self::decoder::Decoder;
use self::inflate::{Coding, Inflate};
use super::body_framing::Framing;
use super::error::Error;
use super::head::Head;
use super::syntax::quote;

/// The most codings one answer may stack.
const DEEPEST: usize = 5;
/// Output of one stage at a time, in bytes.
const PIECE: usize = 64 * 1024;
/// Memory for the windows of all stages together, in bytes: brotli's largest (RFC 7932 §9.1).
const WINDOWS: usize = 16 << 20;
/// Below this many decoded bytes nothing is called a bomb.
const BOMB_BYTES: u64 = 64 << 20;
/// Beyond [`BOMB_BYTES`] and so many times the bytes on the wire, everything is.
const BOMB_RATIO: u64 = 100;

/// A stage: a decoder and the piece it has made.
struct DecoderStage {
    decoder: Box<dyn Decoder>,
    piece: Box<[u8]>,
    at: usize,
    end: usize,
    made: u64,
    fed: bool,
}

impl DecoderStage {
    fn new(decoder: Box<dyn Decoder>) -> DecoderStage {
        let piece = vec![0; PIECE].into_boxed_slice();
        DecoderStage { decoder, piece, at: 0, end: 0, made: 0, fed: false }
    }

    /// Makes the next piece if the last one is used up; whether anything moved.
    fn run(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        if self.at < self.end {
            return Ok(false);
        }
        self.fed |= !input.is_empty();
        let before = input.len();
        (self.at, self.end) = (0, 0);
        self.end = self.decoder.decode(input, &mut self.piece)?;
        self.made += self.end as u64;
        Ok(self.end > 0 || input.len() < before)
    }
}

/// The codings of one answer, outermost first; empty for most answers.
#[derive(Default)]
pub struct DecoderChain {
    stages: Vec<DecoderStage>,
    taken: u64,
}

impl DecoderChain {
    /// The chain for `head`; what we cannot undo is noted and delivered as it is.
    ///
    /// Fails (61) when more than five codings are stacked.
    pub fn new(head: &Head, notes: &mut Vec<String>) -> Result<DecoderChain, Error> {
        let mut names = head.tokens("content-encoding");
        names.retain(|name| name != "identity" && name != "none");
        if names.len() > DEEPEST {
            return Err(Error::coding(format!("more than {DEEPEST} stacked content codings")));
        }
        let heavy = names.iter().filter(|name| *name == "br" || *name == "zstd").count();
        let window = WINDOWS / heavy.max(1);
        let mut chain = DecoderChain::default();
        for name in names.iter().rev() {
            let Some(decoder) = decoder(name, window) else {
                let name = quote(name.as_bytes());
                notes.push(format!("unknown content coding {name}: the body stays as it is"));
                break;
            };
            chain.stages.push(DecoderStage::new(decoder));
        }
        Ok(chain)
    }

    /// Whether bytes pass through unchanged.
    pub fn is_plain(&self) -> bool {
        self.stages.is_empty()
    }

    /// Decodes from `input` until a piece is made, which [`DecoderChain::piece`] then is, or the input is
    /// used up (false). A piece must be taken before the next step.
    pub fn step(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        if let Some(last) = self.stages.last_mut() {
            last.at = last.end;
        }
        loop {
            let mut moved = false;
            for k in 0..self.stages.len() {
                moved |= self.run(k, input)?;
            }
            if self.stages.last().is_some_and(|last| last.end > 0) {
                return Ok(true);
            }
            if !moved {
                return Ok(false);
            }
        }
    }

    fn run(&mut self, k: usize, input: &mut &[u8]) -> Result<bool, Error> {
        let (before, rest) = self.stages.split_at_mut(k);
        let moved = match before.last_mut() {
            None => {
                let had = input.len();
                let moved = rest[0].run(input)?;
                self.taken += (had - input.len()) as u64;
                moved
            }
            Some(feeder) => {
                let mut piece = &feeder.piece[feeder.at..feeder.end];
                let moved = rest[0].run(&mut piece)?;
                feeder.at = feeder.end - piece.len();
                moved
            }
        };
        if k + 1 < self.stages.len() && self.stages[k].made > bomb_size(self.taken) {
            return Err(bomb(self.stages[k].made, self.taken));
        }
        Ok(moved)
    }

    /// The piece the last step made.
    pub fn piece(&self) -> &[u8] {
        self.stages.last().map(|last| &last.piece[..last.end]).unwrap_or_default()
    }

    /// Encoded bytes taken so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// No more input will come: what decoders hold back is handed out by further steps.
    pub fn flush_truncated(&mut self) {
        for stage in &mut self.stages {
            if stage.fed && !stage.decoder.whole() {
                stage.decoder.cut();
            }
        }
    }

    /// Judges the codings at the end of a body: whole, or cut short (18).
    ///
    /// A coded body without a single byte is an empty body where the framing itself says that it
    /// is complete; many servers label those too.
    pub fn finish(&self, framing: Framing, notes: &mut Vec<String>) -> Result<(), Error> {
        if framing != Framing::Close && self.stages.first().is_none_or(|first| !first.fed) {
            return Ok(());
        }
        for stage in &self.stages {
            let name = stage.decoder.name();
            if !stage.decoder.whole() {
                return Err(Error::truncated(format!("the {name} coding is cut short")));
            }
            if stage.decoder.junk() > 0 {
                let junk = stage.decoder.junk();
                notes.push(format!("{junk} bytes of junk behind the end of the {name} coding"));
            }
        }
        Ok(())
    }
}

/// How many decoded bytes `wire` bytes may become before they are a bomb.
pub fn bomb_size(wire: u64) -> u64 {
    BOMB_BYTES.max(wire.saturating_mul(BOMB_RATIO))
}

/// The error for a bomb (63).
pub fn bomb(decoded: u64, wire: u64) -> Error {
    Error::limit(format!(
        "{wire} bytes decode to more than {decoded}: taken for a bomb (--max-decoded allows it)"
    ))
}

/// The decoder for a coding's name in lower case; windows may have `window` bytes.
fn decoder(name: &str, window: usize) -> Option<Box<dyn Decoder>> {
    Some(match name {
        "gzip" | "x-gzip" => Box::new(Inflate::new(Coding::Gzip)),
        "deflate" => Box::new(Inflate::new(Coding::Deflate)),
        "br" => Box::new(brotli::Brotli::new(window)),
        "zstd" => Box::new(zstd::Zstd::new(window)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
