//! sockit: a socket toolkit for the command line.
//!
//! This library exists for the binary, the tests and the benches; it promises no stable API.
//!
//! Modules form layers. A module imports from its own layer and from the layers below it, never from
//! above; modules of one layer import each other in one direction only, and no two files import each
//! other. A test holds these rules. From the top:
//!
//! 1. [`command`], [`flags`], [`usage`], [`logging`]: the command line and the trace. clap is imported in the
//!    first three only.
//! 2. [`client`], [`server`], [`relay`], [`check`], [`datagram`], [`fetch`], [`lookup`], [`tour`]: what a
//!    command does.
//! 3. [`service`]: what a server does with one connection.
//! 4. [`transfer`], [`report`]: bytes between two ends; events as text and JSON.
//! 5. [`net`]: addresses and sockets in the order of their life, TLS and proxies as layers of a stream.
//! 6. [`resolver`], [`http`], [`process`]: names, HTTP/1.1 messages without I/O, the process itself.
//! 7. [`error`], [`shutdown`], [`poll`], [`units`]: one error type with its exit codes; the cancellation
//!    token; poll(2) with a deadline; durations and sizes as text.

pub mod check;
pub mod client;
// The doc comments of flags are help texts first; brackets in them are default values.
#[allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
pub mod command;
pub mod datagram;
pub mod error;
#[cfg(feature = "http")]
pub mod fetch;
#[allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
pub mod flags;
pub mod http;
pub mod logging;
pub mod lookup;
pub mod net;
pub mod poll;
pub mod process;
pub mod relay;
pub mod report;
pub mod resolver;
pub mod server;
pub mod service;
pub mod shutdown;
#[cfg(test)]
mod test_rng;
#[cfg(test)]
mod test_run;
pub mod tour;
pub mod transfer;
pub mod units;
pub mod usage;
