//! The relay of connections: [`RelayService`] connects each accepted one to the target and runs a session
//! of two directions, whose states are in `session`.

mod connection_log;
mod copy;
mod destination;
mod peer_socket;
mod progress;
mod reader;
mod service;
mod session;
mod state;
mod stop_reason;
mod writer;

pub use service::{RelayOptions, RelayService};
