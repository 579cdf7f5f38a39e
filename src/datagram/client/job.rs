//! What a datagram client sends, and what it does with the replies.

use std::time::Duration;

use super::source::DatagramSource;
use crate::report::hexdump::HexDump;

/// What is sent, and what is done with the replies.
pub struct SendJob {
    /// The datagrams.
    pub source: DatagramSource,
    /// Time before the first.
    pub delay: Duration,
    /// Treats stdin as ended after this long without a datagram in either direction.
    pub input_timeout: Option<Duration>,
    /// What is done with replies.
    pub replies: Replies,
    /// Print replies as received; otherwise each ends with a line end.
    pub raw: bool,
    /// Hex dump of both directions.
    pub dump: Option<HexDump>,
}

/// What a client does with replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replies {
    /// Prints them, and waits this long after the last datagram; `None` = without limit.
    Print(Option<Duration>),
    /// Prints them until none has come for this long after the last datagram.
    PrintUntilSilent(Option<Duration>),
    /// Discards them, and waits for none.
    Discard,
}
