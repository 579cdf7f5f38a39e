//! Content codings (RFC 9110 §8.4): a decoder for each, and the chain of those of one response.

mod brotli;
mod decoder;
mod decoder_chain;
mod decompression_bomb;
mod inflate;
mod zstd;

pub use decoder_chain::DecoderChain;
