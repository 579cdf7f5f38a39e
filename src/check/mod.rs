//! Checks whether something listens: at TCP and UDP ports and Unix sockets, now or within a time.
//!
//! [`Target`]s are tried by worker threads as a schedule without a clock of its own says; each
//! attempt ends in a [`Verdict`], and [`run`] hands over those of all targets in their order.

mod hosts;
mod options;
pub mod print;
mod probe;
mod run;
mod schedule;
pub mod target;
mod udp;
mod verdict;

pub use options::{CheckOptions, HostOptions, Quorum, Repeat, Until};
pub use run::{CheckResult, OnResults, run};
pub use target::Target;
pub use verdict::Verdict;
