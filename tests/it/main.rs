//! Runs sockit against peers of its own and against the real ones on PATH.
//!
//! A folder per command, and one each for what concerns several: `tcp` (client and server), `cli`
//! (the command line), `docs`, `faults` (refused system calls, exhausted resources, lossy links),
//! `fuzz` (the corpora), `interop` (real peers) and `verbose` (`-v` to `-vvv`). `support` starts the program and plays the
//! other end. Each test waits for events, with a deadline.

mod support;

mod check;
mod cli;
mod docs;
mod faults;
mod fuzz;
#[cfg(feature = "http")]
mod http_get;
mod interop;
mod nc;
mod relay;
mod resolve;
mod structure;
mod tcp;
mod tcp_client;
mod tcp_server;
mod tour;
mod udp;
mod unix;
mod verbose;
