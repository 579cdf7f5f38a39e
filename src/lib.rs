//! sockit: a socket toolkit for the command line.
//!
//! This library exists for the binary, the tests and the benches; it promises no stable API.
//! The house is built in the order of a connection's life, and imports point down only:
//!
//! - [`command`] – what the user asks for: one file per subcommand, with its flags and its run;
//! - [`flags`] – flag groups that several commands share;
//! - [`service`] – what a server does with one accepted peer;
//! - [`report`] – telling people: one event enum behind text and JSON;
//! - [`pump`] – moving bytes between two ends, by whichever call suits both;
//! - [`net`] – sockets in the order of their life: endpoint, resolve, socket, dial, listen,
//!   accept, stream, and the layers on a stream; `confine` gives up what a run needs no more;
//! - [`http`] – the HTTP/1.1 of http-get and of proxies: bytes in, facts out, no socket inside;
//! - [`failure`] and [`stop`] – what went wrong and with which exit code; why a run ends early;
//! - [`log`] – tracing to stderr, for whoever debugs sockit itself.

pub mod client;
pub mod datagram;
pub mod error;
pub mod fetch;
pub mod logging;
pub mod lookup;
pub mod process;
pub mod resolver;
pub mod server;
pub mod shutdown;
#[cfg(test)]
mod test_rng;
pub mod tour;
pub mod transfer;
pub mod usage;
// What stands above a flag is help for people first, where brackets are defaults.
#[allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
pub mod command;
#[allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
pub mod flags;
pub mod http;
pub mod net;
pub mod report;
pub mod service;
