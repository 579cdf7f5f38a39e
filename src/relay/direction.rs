//! The two directions of a relayed connection.

use serde::Serialize;

/// The direction of relayed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the target to the client.
    ToClient,
    /// From the client to the target.
    ToTarget,
}

impl Direction {
    /// The other direction.
    pub fn opposite(self) -> Direction {
        match self {
            Direction::ToClient => Direction::ToTarget,
            Direction::ToTarget => Direction::ToClient,
        }
    }
}
