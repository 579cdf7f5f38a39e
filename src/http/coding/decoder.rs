//! The interface of a content decoder.

use crate::http::error::Error;

/// Decodes one content coding.
pub trait Decoder: Send {
    /// The name of the coding.
    fn name(&self) -> &'static str;

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
