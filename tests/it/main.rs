//! Whole runs of sockit, against peers of our own and against the real ones on PATH.
//!
//! A file per subcommand or matter; `sockit` starts the sockit under test, `running` holds it
//! while it lives, `peer` plays the other end, `namespace` gives a run a small machine of its own. No test sleeps for luck: each waits, with a
//! deadline, for the event it needs.

mod datagrams;
mod nameserver;
mod namespace;
#[cfg(feature = "tls")]
mod papers;
mod peer;
mod running;
mod sockit;
mod vitals;

mod activation;
mod chat;
mod check;
mod completions;
#[cfg(target_os = "linux")]
mod confined;
mod console_blocks;
mod crowds;
mod dialling;
mod documented_limits;
mod documents;
mod endings;
mod exec;
mod exit_codes;
mod faults;
mod files;
#[cfg(feature = "http")]
mod fuzzed;
mod help;
#[cfg(feature = "http")]
mod http_fuzz;
#[cfg(feature = "http")]
mod http_get;
mod interop;
mod limits;
#[cfg(target_os = "linux")]
mod planted;
mod prompt;
mod proxy;
mod proxy_fuzz;
mod resolve;
mod resolve_failing;
mod resolve_server;
mod resolve_verify;
mod script;
mod services;
mod structure;
mod talk_files;
mod tcp_client;
mod tcp_server;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_interop;
mod tour;
mod tutorials;
mod udp_client;
mod udp_echo;
mod udp_server;
mod unix_datagram;
mod unix_stream;
mod urgent;
mod usage;
mod voices;
#[cfg(not(feature = "tls"))]
mod without_tls;
