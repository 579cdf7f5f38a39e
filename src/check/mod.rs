//! Checks whether something listens: at TCP and UDP ports and Unix sockets, now or within a time.
//!
//! [`CheckTarget`]s are tried by worker threads in the order of a schedule that has no clock of its
//! own; each attempt of a `Prober` ends in a [`Verdict`], and [`run`] hands over those of all targets in
//! their order.

mod hosts;
mod options;
mod outcome;
pub mod print;
mod probe;
mod prober;
mod run;
mod scan;
mod schedule;
pub mod target;
mod udp;
mod verdict;
mod workers;

pub use options::{AddressCoverage, CheckOptions, Goal, HostOptions, Repeat, Require, Until};
pub use run::{OnResults, run};
pub use scan::scan;
pub use target::CheckTarget;
pub use verdict::{TargetVerdict, Verdict};
