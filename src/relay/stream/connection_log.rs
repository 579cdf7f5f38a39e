//! What is logged and recorded of a relayed connection while it lasts.

use crate::relay::direction::Direction;
use crate::relay::record::RecordedConnection;
use crate::report::context::Context;
use crate::report::event::{Event, FaultEvent, Side};
use crate::transfer::tap::Taps;

/// The log of one connection, shared by its directions.
pub struct ConnectionLog {
    /// Number of the connection.
    pub conn: u64,
    /// Address of the client.
    pub client: String,
    /// Address of the target.
    pub target: String,
    /// Where events are emitted, and the end of the run.
    pub context: Context,
    /// The connection in the capture file (`--record`).
    pub recorded: Option<RecordedConnection>,
}

impl ConnectionLog {
    /// Emits that the source of `direction` has ended its stream.
    pub fn half_closed(&self, direction: Direction) {
        let (by, peer) = match direction {
            Direction::ToTarget => (Side::Client, self.client.clone()),
            Direction::ToClient => {
                (Side::Target, format!("{} (client {})", self.target, self.client))
            }
        };
        self.context.report.emit(&Event::HalfClosed { conn: self.conn, by, peer: Some(peer) });
    }

    /// What records the bytes: sent ones go to the target.
    pub fn taps(&self) -> Taps {
        self.recorded.clone().map(Taps::new).unwrap_or_default()
    }

    /// Records that an end of stream is passed on, the source's or that of a fault.
    pub fn passed_end(&self, direction: Direction) {
        if let Some(recorded) = &self.recorded {
            recorded.half_closed(direction);
        }
    }

    /// Records that a reset is passed on.
    pub fn passed_reset(&self, direction: Direction) {
        if let Some(recorded) = &self.recorded {
            recorded.reset(direction);
        }
    }

    /// Emits a fault.
    pub fn fault(&self, event: FaultEvent) {
        self.context.report.emit(&Event::Fault(event));
    }
}
