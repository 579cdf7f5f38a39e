//! Faults that `--fault` injects into relayed connections.
//!
//! A fault is a file with a parser and a `piece::Fault`, and a row in [`FAULTS`]. It receives the
//! bytes of one direction as [`piece::Piece`]s, which it changes, divides, delays or ends. What it decides
//! is a function of seed, connection number, direction and byte offset (`context`), never of
//! time or of the lengths of reads, so that the same seed and bytes give the same faults again.

mod chain;
mod context;
mod corrupt;
mod delay;
mod drop;
mod duplicate;
mod end_at;
mod loss;
mod piece;
mod plan;
mod pump;
mod queue;
mod rate;
mod refuse;
mod reorder;
mod share;
mod slice;
mod stall;

pub use chain::{ConnectionFaults, FaultChain};
pub use piece::{DirectionEnd, Piece, PieceKind};
pub use plan::{FaultPlan, FaultSpec};
pub use pump::{Delivery, pump};

/// What a fault applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// The bytes of a stream.
    Stream,
    /// Datagrams.
    Datagrams,
    /// Both of them.
    Any,
    /// A complete connection, before the relay connects to the target; it has no direction.
    Connection,
}

/// A kind of fault.
pub struct FaultKind {
    /// The name, the first word of its SPEC.
    pub name: &'static str,
    /// How its SPEC is written.
    pub usage: &'static str,
    /// The effect, in a line.
    pub effect: &'static str,
    /// What it applies to.
    pub medium: Medium,
    /// Parses the rest of the SPEC, after the name and its `=` or `@`.
    parse: fn(&str) -> Result<context::Constructor, String>,
}

/// Every fault, in the order of the documentation.
pub static FAULTS: &[FaultKind] = &[
    FaultKind {
        name: "delay",
        usage: "delay=20ms±10ms",
        effect: "each byte arrives that much later, in order and without loss of rate",
        medium: Medium::Any,
        parse: delay::parse,
    },
    FaultKind {
        name: "rate",
        usage: "rate=64Ki",
        effect: "bytes per second in each direction",
        medium: Medium::Stream,
        parse: rate::parse,
    },
    FaultKind {
        name: "slice",
        usage: "slice=1..7",
        effect: "writes of that many bytes",
        medium: Medium::Stream,
        parse: slice::parse,
    },
    FaultKind {
        name: "stall",
        usage: "stall=5s@4096",
        effect: "the byte at that offset, and all after it, arrive that much later",
        medium: Medium::Stream,
        parse: stall::parse,
    },
    FaultKind {
        name: "close",
        usage: "close@4096",
        effect: "a clean end after that many bytes",
        medium: Medium::Stream,
        parse: |value| end_at::parse(value, DirectionEnd::Closed),
    },
    FaultKind {
        name: "reset",
        usage: "reset@4096",
        effect: "a reset of the connection after that many bytes",
        medium: Medium::Stream,
        parse: |value| end_at::parse(value, DirectionEnd::Reset),
    },
    FaultKind {
        name: "drop",
        usage: "drop@4096",
        effect: "everything after that many bytes is discarded, the connection stays open",
        medium: Medium::Stream,
        parse: drop::parse,
    },
    FaultKind {
        name: "refuse",
        usage: "refuse=1/20",
        effect: "one connection of that many is reset when it is accepted",
        medium: Medium::Connection,
        parse: refuse::parse,
    },
    FaultKind {
        name: "corrupt",
        usage: "corrupt=1/1Mi",
        effect: "one bit in that many bytes is flipped",
        medium: Medium::Any,
        parse: corrupt::parse,
    },
    FaultKind {
        name: "loss",
        usage: "loss=5%",
        effect: "that share of the datagrams is lost",
        medium: Medium::Datagrams,
        parse: loss::parse,
    },
    FaultKind {
        name: "duplicate",
        usage: "duplicate=1%",
        effect: "that share of the datagrams arrives twice",
        medium: Medium::Datagrams,
        parse: duplicate::parse,
    },
    FaultKind {
        name: "reorder",
        usage: "reorder=2%",
        effect: "that share of the datagrams arrives after the next one",
        medium: Medium::Datagrams,
        parse: reorder::parse,
    },
];

#[cfg(test)]
mod tests;
