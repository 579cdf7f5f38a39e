//! The relay: accepts connections, connects each to a target, and passes bytes and endings both ways.

mod connection_log;
mod copy;
pub mod datagram;
mod destination;
pub mod direction;
mod due_queue;
pub mod fault;
mod flow;
mod flow_options;
mod flow_queue;
mod flow_starter;
mod flow_table;
mod flow_thread;
mod peer_socket;
mod progress;
mod reader;
pub mod record;
pub mod service;
mod session;
mod state;
mod stop_reason;
mod writer;
