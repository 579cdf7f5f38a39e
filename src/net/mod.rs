//! Sockets, in the order of their life.
//!
//! A name becomes an address, an address becomes a stream, and a stream is two halves with
//! one owner each. Nothing here knows of flags, JSON or services.

pub mod dns;
pub mod resolve;
