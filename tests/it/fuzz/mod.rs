//! The fuzz targets, run on their corpora and on mutated inputs.

#[cfg(feature = "http")]
mod http_response;
#[cfg(feature = "http")]
mod parsers;
mod proxy;
