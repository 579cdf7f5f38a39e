//! The decoders of one response in the reverse of the order in which the peer encoded.
//!
//! Each stage has one output buffer, windows are limited before they are allocated, and a stage whose
//! output is too large for its input fails as a decompression bomb.

use std::collections::VecDeque;

use super::brotli::Brotli;
use super::decoder::{Decoder, DecoderStage};
use super::decompression_bomb;
use super::inflate::{Coding, Inflate};
use super::zstd::Zstd;
use crate::http::body_framing::BodyFraming;
use crate::http::error::Error;
use crate::http::head::Head;
use crate::http::range::is_part;
use crate::http::syntax::quote;

/// The most content codings of one response.
const MAX_CODINGS: usize = 5;
/// The most memory for the windows of all stages, in bytes: the largest of brotli (RFC 7932 §9.1).
const MAX_WINDOWS: usize = 16 << 20;
/// The decoders of one response, the outermost first; at least one.
pub struct DecoderChain {
    stages: Vec<DecoderStage>,
    max_decoded: Option<u64>,
}

impl DecoderChain {
    /// The decoders for `head`, if it names codings; from an unknown coding on, and where the body is
    /// only a part of the encoded one (RFC 9110 §14.2), it is not decoded, with a note. The
    /// output is at most `max_decoded` bytes; without it, only bombs are limited.
    ///
    /// Fails with 61 on more than five codings.
    pub fn new(
        head: &Head,
        max_decoded: Option<u64>,
        notes: &mut VecDeque<String>,
    ) -> Result<Option<DecoderChain>, Error> {
        let mut names = head.tokens("content-encoding");
        names.retain(|name| name != "identity" && name != "none");
        if names.len() > MAX_CODINGS {
            return Err(Error::coding(format!("more than {MAX_CODINGS} content codings")));
        }
        if !names.is_empty() && is_part(head) {
            notes.push_back("a range of an encoded body: it is not decoded".to_string());
            return Ok(None);
        }
        let heavy = names.iter().filter(|name| *name == "br" || *name == "zstd").count();
        let window = MAX_WINDOWS / heavy.max(1);
        let mut stages = Vec::new();
        for name in names.iter().rev() {
            let Some(decoder) = decoder(name, window) else {
                let name = quote(name.as_bytes());
                notes.push_back(format!("unknown content coding {name}: the body is not decoded"));
                break;
            };
            stages.push(DecoderStage::new(name, decoder));
        }
        let chain = DecoderChain { stages, max_decoded };
        Ok(Some(chain).filter(|chain| !chain.stages.is_empty()))
    }

    /// Decodes from `input` until there is [`DecoderChain::output`] (true), or the input is used
    /// (false). The next step overwrites the output.
    ///
    /// Fails with 63 after the output up to the limit, with 61 on a broken coding.
    pub fn step(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        if let Some(last) = self.stages.last_mut() {
            last.unread = 0..0;
        }
        self.limit_output()?;
        loop {
            let mut moved = false;
            for k in 0..self.stages.len() {
                moved |= self.run(k, input)?;
            }
            if self.stages.last().is_some_and(|last| !last.unread.is_empty()) {
                return self.limit_output().map(|()| true);
            }
            if !moved {
                return Ok(false);
            }
        }
    }

    fn run(&mut self, k: usize, input: &mut &[u8]) -> Result<bool, Error> {
        let (before, rest) = self.stages.split_at_mut(k);
        let moved = match before.last_mut() {
            None => rest[0].run(input)?,
            Some(source) => {
                let mut input = &source.output[source.unread.clone()];
                let moved = rest[0].run(&mut input)?;
                source.unread.start = source.unread.end - input.len();
                moved
            }
        };
        let (encoded, decoded) = (self.stages[0].consumed, self.stages[k].produced);
        if k + 1 < self.stages.len() && decoded > decompression_bomb::max_decoded(encoded) {
            return Err(decompression_bomb::error(decoded, encoded));
        }
        Ok(moved)
    }

    /// Truncates the output to what is allowed; fails with 63 if it begins beyond that.
    fn limit_output(&mut self) -> Result<(), Error> {
        let encoded = self.stages[0].consumed;
        let max = self.max_decoded.unwrap_or(decompression_bomb::max_decoded(encoded));
        let Some(last) = self.stages.last_mut() else { return Ok(()) };
        let excess = usize::try_from(last.produced.saturating_sub(max)).unwrap_or(usize::MAX);
        last.unread.end = last.unread.end.saturating_sub(excess);
        if excess == 0 || !last.unread.is_empty() {
            return Ok(());
        }
        Err(match self.max_decoded {
            Some(max) => Error::limit(format!("more than --max-decoded {max} bytes")),
            None => decompression_bomb::error(max, encoded),
        })
    }

    /// The output of the last step.
    pub fn output(&self) -> &[u8] {
        self.stages.last().map(|last| &last.output[last.unread.clone()]).unwrap_or_default()
    }

    /// The input ended early: further steps return what the decoders have buffered.
    pub fn flush_truncated(&mut self) {
        for stage in &mut self.stages {
            if stage.consumed > 0 && !stage.decoder.is_complete() {
                stage.decoder.flush_truncated();
            }
        }
    }

    /// Checks at the end of the body that the codings are complete; fails with 18.
    ///
    /// An encoded body without a byte is empty where the framing says that it is complete; many
    /// servers declare a coding for empty bodies too.
    pub fn finish(&self, framing: BodyFraming, notes: &mut VecDeque<String>) -> Result<(), Error> {
        if framing != BodyFraming::Close && self.stages[0].consumed == 0 {
            return Ok(());
        }
        for DecoderStage { name, decoder, .. } in &self.stages {
            if !decoder.is_complete() {
                return Err(Error::truncated(format!("the {name} coding is truncated")));
            }
            let trailing = decoder.trailing_bytes();
            if trailing > 0 {
                notes.push_back(format!("{trailing} bytes after the end of the {name} coding"));
            }
        }
        Ok(())
    }
}

/// The decoder of the coding `name`, in lower case, with a window of at most `window` bytes.
fn decoder(name: &str, window: usize) -> Option<Box<dyn Decoder>> {
    Some(match name {
        "gzip" | "x-gzip" => Box::new(Inflate::new(Coding::Gzip)),
        "deflate" => Box::new(Inflate::new(Coding::Deflate)),
        "br" => Box::new(Brotli::new(window)),
        "zstd" => Box::new(Zstd::new(window)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
