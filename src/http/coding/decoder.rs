//! What every content coding has in common.

use crate::http::error::Error;

/// One coding being undone.
pub trait Decoder: Send {
    /// The coding's name.
    fn name(&self) -> &'static str;

    /// Takes from `input` and fills `out`; answers how much of `out` is filled. Nothing taken
    /// and nothing filled means that more input is needed. Bytes behind the coding's end are
    /// taken and dropped, and counted by [`Decoder::junk`].
    fn decode(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Error>;

    /// Whether the coding has reached an end of its own.
    fn whole(&self) -> bool;

    /// Bytes that came behind the end.
    fn junk(&self) -> u64;

    /// No more input will come although the end was not reached: hands out what is held back.
    fn cut(&mut self) {}
}
