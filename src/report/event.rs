//! The events of the log. Text and JSON are formats of the same values, so that they cannot differ:
//! JSON is derived, and the text of a larger event is a function beside its fields, in a file of
//! this folder.

pub mod check;
mod connection;
pub mod datagram;
mod fault;
pub mod lookup;
mod lookup_entries;
mod response;
mod transfer;

use serde::Serialize;

use super::excerpt::Excerpt;
use crate::error::Failure;
use check::CheckReport;
pub use connection::{Closed, Endpoints, Relayed, Role, Side, Stats};
use datagram::{Ping, Totals};
pub use fault::FaultEvent;
use lookup::LookupReport;
pub use response::{ResponseHead, Timings};
pub use transfer::Transfer;

/// An event. Its fields are documented in `docs/json-events.md`, and are a promise.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A server is ready.
    Listening {
        /// The bound address, with the port that the kernel chose.
        local: String,
        /// `connection` or `datagrams`, for the text; not in JSON.
        #[serde(skip)]
        awaited: &'static str,
    },
    /// A server generated a certificate for this run.
    Certificate {
        /// SHA-256 of its DER, in hexadecimal, as `--pin` expects it.
        sha256: String,
    },
    /// A server accepted a connection.
    Accepted(Endpoints),
    /// A client has connected, including all layers.
    Connected(Endpoints),
    /// One side has half-closed the connection.
    HalfClosed {
        /// The connection.
        conn: u64,
        /// Which side.
        by: Side,
        /// The peer's address, where there are several connections, for the text; not in JSON.
        #[serde(skip)]
        peer: Option<String>,
    },
    /// Bytes were sent (`-vv`).
    Sent(Transfer),
    /// Bytes were received (`-vv`).
    Received(Transfer),
    /// One side has ended its stream (`-vv`).
    EndOfStream {
        /// The connection.
        #[serde(skip_serializing_if = "Option::is_none")]
        conn: Option<u64>,
        /// The peer's address.
        peer: String,
        /// Which side.
        by: Side,
    },
    /// An HTTP request is about to be sent (`-vv`).
    Request {
        /// The connection.
        conn: u64,
        /// Its lines, without credentials.
        lines: Vec<String>,
    },
    /// A connection was closed.
    Closed(Closed),
    /// The statistics of a client's connection (`--stats`).
    Stats(Stats),
    /// A relay has injected a fault (`--fault`).
    Fault(FaultEvent),
    /// A relay chose the seed of its faults.
    Seed {
        /// What `--seed` repeats.
        seed: u64,
    },
    /// A datagram server received a datagram.
    Datagram {
        /// The local address that it was sent to.
        local: String,
        /// The address that it was sent from.
        peer: String,
        /// Length of its payload, in bytes.
        bytes: usize,
        /// Its beginning (`-vv`).
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Excerpt>,
    },
    /// A datagram server has ended.
    Totals(Totals),
    /// The result of a ping, which is printed on stdout.
    Ping(Ping),
    /// The head of an HTTP response.
    Answer(ResponseHead),
    /// The phases of an HTTP transfer (`--stats`).
    #[serde(rename = "stats")]
    Timings(Timings),
    /// A line of the trace of sockit itself (`-vvv`, `SOCKIT_LOG`).
    Log {
        /// Level, module and message.
        message: String,
    },
    /// A warning; the run continues.
    Warning {
        /// The connection, if it concerns one.
        #[serde(skip_serializing_if = "Option::is_none")]
        conn: Option<u64>,
        /// One line.
        message: String,
    },
    /// A connection of a server, or the run, failed.
    Error(ErrorEvent),
    /// The answer to one question of `resolve`, which is printed on stdout.
    Resolved(Box<LookupReport>),
    /// The result of one target of `check`, which is printed on stdout.
    Checked(Box<CheckReport>),
    /// A step, for `-v` or `-vv`.
    Step {
        /// One line.
        message: String,
        /// From which level on it is logged; not in JSON.
        #[serde(skip)]
        level: Level,
    },
}

/// A failure.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorEvent {
    /// The connection, if it concerns one of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conn: Option<u64>,
    /// The word of its [`crate::error::Phase`].
    pub phase: &'static str,
    /// Address, name or file that it concerns.
    pub target: String,
    /// The message of the system, the library or the peer.
    pub cause: String,
    /// The exit code it has, or would have had if it had ended the run.
    pub code: u8,
    /// The system call that failed, and what usually causes it (`-v`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Event {
    /// The event of a failure, of connection `conn` or of the run.
    pub fn failure(conn: Option<u64>, failure: &Failure) -> Event {
        Event::Error(ErrorEvent {
            conn,
            phase: failure.phase.name(),
            target: failure.target.clone(),
            cause: failure.cause(),
            code: failure.code.number(),
            reason: None,
            hint: failure.hint.clone(),
        })
    }

    /// The verbosity from which on it is logged.
    pub fn level(&self) -> Level {
        match self {
            // Statistics are a request of their own, even under `-q`.
            Event::Error(_) | Event::Stats(_) | Event::Timings(_) => Level::Error,
            Event::Warning { .. } | Event::Listening { .. } | Event::Accepted(_) => Level::Normal,
            Event::Certificate { .. } | Event::Seed { .. } | Event::Log { .. } => Level::Normal,
            Event::Answer(_) => Level::Normal,
            Event::Closed(closed) if closed.role == Role::Server => Level::Normal,
            Event::Totals(_) => Level::Normal,
            Event::Connected(_)
            | Event::Closed(_)
            | Event::HalfClosed { .. }
            | Event::Fault(_)
            | Event::Resolved(_)
            | Event::Checked(_)
            | Event::Datagram { .. }
            | Event::Ping(_) => Level::Detail,
            Event::Sent(_)
            | Event::Received(_)
            | Event::EndOfStream { .. }
            | Event::Request { .. } => Level::Traffic,
            Event::Step { level, .. } => *level,
        }
    }
}

/// When an event is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Always, even under `-q`.
    Error,
    /// Unless `-q`.
    Normal,
    /// In JSON unless `-q`; in text under `-v`.
    Detail,
    /// Under `-v`.
    Step,
    /// Under `-vv`.
    Traffic,
}
