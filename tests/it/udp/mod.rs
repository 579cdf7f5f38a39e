//! `udp-client`, `udp-echo` and `udp-server`.

mod client;
mod echo;
mod server;
