//! The event of a fault that a relay has made (`--fault`).

use serde::Serialize;

use crate::report::escape::escape;

/// A fault of a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultEvent {
    /// The connection.
    pub conn: u64,
    /// `to_client` or `to_target`; none of a fault on connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<&'static str>,
    /// Name of the fault.
    pub fault: &'static str,
    /// Its SPEC as given, without the direction.
    pub spec: String,
    /// Bytes of that direction before it, as received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The flipped bit of the byte at the offset, from 0, the lowest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit: Option<u8>,
}

impl FaultEvent {
    /// As one line of text.
    pub fn text(&self) -> String {
        let direction =
            self.direction.map(|direction| format!(", {}", direction.replace('_', " ")));
        let offset = self.offset.map(|offset| format!(", at byte {offset}")).unwrap_or_default();
        let bit = self.bit.map(|bit| format!(", bit {bit}")).unwrap_or_default();
        let (spec, direction) = (escape(&self.spec), direction.unwrap_or_default());
        format!("Fault {spec} on connection {}{direction}{offset}{bit}", self.conn)
    }
}
