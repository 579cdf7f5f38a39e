//! `unix-client` and `unix-server`.

mod datagram;
mod stream;
