//! Sockets, in the order of their life.
//!
//! A name becomes an address, an address becomes a stream, and a stream is two halves with
//! one owner each. Nothing here knows of flags, JSON or services; whoever wants to hear of the
//! steps passes a listener for [`step::Step`].

pub mod accept;
pub mod address;
pub mod admit;
pub mod child;
pub mod confine;
pub mod datagram;
pub mod dial;
pub mod dns;
pub mod endpoint;
pub mod identity;
pub mod inherit;
mod kernel;
pub mod layer;
pub mod listen;
pub mod live;
pub mod memory;
pub mod misfit;
pub mod output_file;
pub mod pool;
pub mod process_groups;
pub mod proxy;
mod race;
pub mod resolve;
pub mod retry;
pub mod socket;
pub mod stdio;
pub mod step;
pub mod stream;
pub mod table;
pub mod title;
#[cfg(feature = "tls")]
pub mod tls;
pub mod unix;
