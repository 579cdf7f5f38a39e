//! What a schedule gives to a worker.

use std::time::Instant;

/// What a worker does next.
#[derive(Debug, PartialEq, Eq)]
pub enum NextStep<D> {
    /// Start an attempt at the target of this index: resolve its name.
    Attempt(usize),
    /// Connect to one address.
    Connect(AttemptPart<D>),
    /// Wait until something changes, or until this instant.
    Wait(Option<Instant>),
    /// Exit.
    Over,
}

/// One address of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptPart<D> {
    /// The index of the target.
    pub target: usize,
    /// Where to connect to.
    pub destination: D,
    pub(super) attempt: u32,
    pub(super) position: usize,
}
