//! The fuzz targets, run on their corpora and on mutated inputs.

#[cfg(feature = "http")]
mod http_answer;
#[cfg(feature = "http")]
mod parsers;
mod proxy;
