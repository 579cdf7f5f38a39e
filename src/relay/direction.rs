//! The two directions of a relayed connection.

/// The direction of relayed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    /// Its name in events.
    pub fn name(self) -> &'static str {
        match self {
            Direction::ToClient => "to_client",
            Direction::ToTarget => "to_target",
        }
    }
}
