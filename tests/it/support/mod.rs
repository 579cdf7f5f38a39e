//! What all tests share: `sockit` starts the program, `process` holds it while it runs, `peer`,
//! `datagrams`, `nameserver` and `origin` are the other end, `namespace` is a network of its own.

#[cfg(feature = "tls")]
pub mod certificates;
pub mod datagrams;
pub mod nameserver;
pub mod namespace;
#[cfg(feature = "http")]
pub mod origin;
pub mod peer;
pub mod proc_stats;
pub mod process;
pub mod sockit;
pub mod strace;
