//! How far the two directions of a session are, and why it was reset.

use crate::error::Failure;
use crate::net::stream::EndedBy;
use crate::relay::direction::Direction;

/// The progress of a session.
#[derive(Debug, Default)]
pub struct Progress {
    /// What ended the first direction that has ended.
    pub first_end: Option<EndedBy>,
    /// Why both connections were reset.
    pub reset_cause: Option<ResetCause>,
    /// From the client.
    pub to_target: DirectionProgress,
    /// From the target.
    pub to_client: DirectionProgress,
}

/// The progress of one direction.
#[derive(Debug, Default)]
pub struct DirectionProgress {
    /// Whether its source has ended its stream, or a fault has ended it.
    pub has_stream_ended: bool,
    /// Whether its thread has exited.
    pub has_thread_exited: bool,
}

/// Why both connections of a session were reset.
#[derive(Debug)]
pub enum ResetCause {
    /// A peer, a time limit or a signal.
    Failure(Failure),
    /// A fault of the relay.
    Fault,
}

impl Progress {
    /// The progress of `direction`.
    pub fn of(&mut self, direction: Direction) -> &mut DirectionProgress {
        match direction {
            Direction::ToTarget => &mut self.to_target,
            Direction::ToClient => &mut self.to_client,
        }
    }
}
