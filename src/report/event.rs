//! The events of the log. Text and JSON are formats of the same values, so that they cannot differ.

use serde::Serialize;

use super::check::CheckReport;
use super::datagram_stats::{Ping, Totals};
use super::excerpt::Excerpt;
use super::lookup::LookupReport;
use crate::error::Failure;
use crate::net::stream::{ConnectionInfo, EndedBy, PeerCredentials};

/// An event. Its fields are a promise (README, "JSON events").
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
    /// A relay has spoiled a connection on purpose (`--fault`).
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
    /// A trace of sockit itself (`-vv`, `SOCKIT_LOG`).
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
    /// A connection of a server failed, or the run.
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

/// Both ends of a connection.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Endpoints {
    /// Number of the connection in this run, from 1.
    pub conn: u64,
    /// The local address.
    pub local: String,
    /// The peer's address.
    pub peer: String,
    /// The peer's process (Unix sockets).
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    pub credentials: Option<PeerCredentials>,
    /// The name in the peer's verified certificate (TLS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_name: Option<String>,
    /// The descriptor and the thread of an accepted connection, for `-v`; not in JSON.
    #[serde(skip)]
    pub resources: Option<String>,
    /// The client for which a relay has connected, for the text; not in JSON.
    #[serde(skip)]
    pub client: Option<String>,
}

impl Endpoints {
    /// The addresses of connection `conn`.
    pub fn new(conn: u64, info: &ConnectionInfo) -> Endpoints {
        Endpoints {
            conn,
            local: info.local.to_string(),
            peer: info.peer.to_string(),
            credentials: info.credentials,
            peer_name: info.peer_name.clone(),
            ..Endpoints::default()
        }
    }
}

/// Bytes of one call, or of the calls of a second.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Transfer {
    /// The connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conn: Option<u64>,
    /// The peer's address.
    pub peer: String,
    /// So many bytes.
    pub bytes: u64,
    /// Of so many that were to be sent, where the call took fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// The calls, where they are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// `sendfile`, for bytes that stayed in the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'static str>,
    /// The offset in the file, of `sendfile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The first bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Excerpt>,
}

impl Serialize for Excerpt {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// How a connection ended, and how many bytes were transferred.
#[derive(Debug, Clone, Serialize)]
pub struct Closed {
    /// The connection.
    pub conn: u64,
    /// Bytes received; under TLS the decrypted ones.
    pub bytes_in: u64,
    /// Bytes sent, likewise.
    pub bytes_out: u64,
    /// Time since it was connected or accepted.
    pub seconds: f64,
    /// The local address.
    pub local: String,
    /// The peer's address.
    pub peer: String,
    /// What ended it.
    pub ended_by: EndedBy,
    /// The bytes of a relayed connection.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    pub relayed: Option<Relayed>,
    /// Exit status of the service's child, 128 + N for signal N.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<i32>,
    /// The file that received bytes were saved in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved: Option<String>,
    /// Whether a server logs it (by default) or a client (under `-v`); not in JSON.
    #[serde(skip)]
    pub role: Role,
}

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

/// The bytes that a relay has passed on, by the peer that received them.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Relayed {
    /// Bytes from the client to the target.
    pub bytes_to_target: u64,
    /// Bytes from the target to the client.
    pub bytes_to_client: u64,
}

/// The statistics of a connection.
#[derive(Debug, Clone, Serialize)]
pub struct Stats {
    /// The connection.
    pub conn: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Time from connected to the end.
    pub seconds: f64,
    /// Bytes received per second, on average.
    pub rate_in: f64,
    /// Bytes sent per second, on average.
    pub rate_out: f64,
    /// Time from the start of the run to connected: name, TCP, layers.
    pub connect_milliseconds: f64,
    /// What ended it.
    pub ended_by: EndedBy,
    /// The rate over time, as a line of text; not in JSON.
    #[serde(skip)]
    pub sparkline: Option<String>,
}

/// The head of an HTTP response. All of it comes from the peer.
#[derive(Debug, Clone, Serialize)]
pub struct ResponseHead {
    /// The connection.
    pub conn: u64,
    /// The requested URL, without credentials.
    pub url: String,
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub version: String,
    /// 100 to 999.
    pub status: u16,
    /// The reason phrase, often empty.
    pub reason: String,
    /// Names and values, in the order received.
    pub fields: Vec<(String, String)>,
    /// Whether its lines are marked with `<` (`-vv`); not in JSON.
    #[serde(skip)]
    pub is_marked: bool,
}

/// The phases of an HTTP transfer over all its redirects, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Timings {
    /// Name resolution.
    pub dns: f64,
    /// TCP connect.
    pub connect: f64,
    /// Proxy and TLS handshakes; 0 without them.
    pub tls: f64,
    /// Time from the start of the run to the first byte of the last response.
    pub first_byte: Option<f64>,
    /// Time from the start of the run to its end.
    pub total: f64,
    /// Bytes received, headers included.
    pub bytes: u64,
}

/// The role of this process in a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It connected.
    Client,
    /// It accepted.
    Server,
}

/// One side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The peer.
    Peer,
    /// This process.
    #[serde(rename = "us")]
    Local,
    /// The client of a relay.
    Client,
    /// The target of a relay.
    Target,
}

impl Serialize for EndedBy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Serialize for PeerCredentials {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("credentials", 3)?;
        fields.serialize_field("pid", &self.pid)?;
        fields.serialize_field("uid", &self.uid)?;
        fields.serialize_field("gid", &self.gid)?;
        fields.end()
    }
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
