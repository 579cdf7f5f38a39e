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

use std::thread;
use std::time::{Duration, Instant};

/// Waits until `done`, which is checked every two milliseconds; fails after [`sockit::LIMIT`].
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + sockit::LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
