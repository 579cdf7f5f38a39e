//! Addresses and sockets: connecting, listening, and streams with their layers.
//!
//! Nothing here depends on flags, JSON or services; steps are reported to a callback
//! ([`socket_event::OnSocketEvent`]).

pub mod activity;
pub mod address;
mod attempt;
mod candidate;
mod connection_handle;
mod connection_info;
pub mod dial;
pub mod endpoint;
mod happy_eyeballs;
pub mod layer;
pub mod listen;
pub mod memory;
pub mod name_lookup;
mod observed_stream;
pub mod port_owner;
pub mod proxy;
pub mod retry;
pub mod route;
pub mod socket;
pub mod socket_event;
pub mod socket_file;
pub mod source;
pub mod stdio;
pub mod stdout;
pub mod stream;
pub mod stream_observer;
mod tcp_info;
#[cfg(feature = "tls")]
pub mod tls;
pub mod tls_alert;
pub mod unix;
