//! The relay: accepts connections, connects each to a target, and passes bytes and endings both ways.

mod copy;
pub mod datagram;
pub mod direction;
mod flow;
mod halves;
mod peer_socket;
pub mod service;
mod session;
mod state;
