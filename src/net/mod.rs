//! Sockets, in the order of their life.
//!
//! A name becomes an address, an address becomes a stream, and a stream is two halves with
//! one owner each. Nothing here knows of flags, JSON or services; whoever wants to hear of the
//! steps passes a listener for [`connect_event::Step`].

pub mod activity;
pub mod address;
pub mod connect_event;
pub mod dial;
pub mod endpoint;
mod happy_eyeballs;
pub mod layer;
pub mod listen;
pub mod memory;
pub mod port_owner;
pub mod proxy;
pub mod retry;
pub mod socket;
pub mod stdio;
pub mod stdout;
pub mod stream;
mod tcp_info;
#[cfg(feature = "tls")]
pub mod tls;
pub mod tls_alert;
pub mod unix;
