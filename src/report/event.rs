//! What can be told. One enum feeds the text and the JSON, so they cannot drift.

use serde::Serialize;

use super::datagram_stats::{Ping, Totals};
use super::lookup::LookupReport;
use crate::error::Failure;
use crate::net::stream::{ConnectionInfo, Credentials, EndedBy};

/// Something that happened. Its fields are a promise (README, "JSON events").
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A server is ready; the port is the one the kernel gave.
    Listening {
        /// The bound address.
        local: String,
        /// What is waited for, `connection` or `datagrams`: the text's word, not in JSON.
        #[serde(skip)]
        what: &'static str,
    },
    /// A server made itself a throw-away certificate.
    Certificate {
        /// SHA-256 of its DER, in hexadecimal: what `--pin` takes.
        sha256: String,
    },
    /// A server took a connection in.
    Accepted(Endpoints),
    /// A client's connection stands, all layers included.
    Connected(Endpoints),
    /// One side will send no more.
    HalfClosed {
        /// The connection.
        conn: u64,
        /// Who.
        by: Side,
        /// Whose connection it is, where there are several: the text's word, not in JSON.
        #[serde(skip)]
        caller: Option<String>,
    },
    /// A connection is over.
    Closed(Closed),
    /// What a client's connection came to (`--stats`).
    Stats(Stats),
    /// A server of datagrams took one in.
    Datagram {
        /// The address of ours it was sent to.
        local: String,
        /// From whom.
        peer: String,
        /// Its payload.
        bytes: usize,
    },
    /// A server of datagrams is done.
    Totals(Totals),
    /// What a ping found out; the product, and so told on stdout.
    Ping(Ping),
    /// The head of an HTTP answer.
    Answer(ResponseHead),
    /// Where the time of an HTTP exchange went (`--stats`).
    #[serde(rename = "stats")]
    Timings(Timings),
    /// A line of the log (`-vv`, `SOCKIT_LOG`), for whoever debugs sockit.
    Log {
        /// Level, place and what happened there.
        message: String,
    },
    /// Something the user should know; the run goes on.
    Warning {
        /// The connection, if it concerns one.
        #[serde(skip_serializing_if = "Option::is_none")]
        conn: Option<u64>,
        /// In one line.
        message: String,
    },
    /// Something failed: a connection of a server, or the run.
    Error(ErrorEvent),
    /// The answer to one question of `resolve`; the product, and so told on stdout.
    Resolved(Box<LookupReport>),
    /// A step on the way, for `-v`.
    Step {
        /// In one line.
        message: String,
    },
}

/// A failure, as it is told.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorEvent {
    /// The connection, if it concerns one of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conn: Option<u64>,
    /// The [`crate::error::Stage`]'s word.
    pub phase: &'static str,
    /// Towards whom.
    pub target: String,
    /// In the system's own words.
    pub cause: String,
    /// The exit code it has, or would have had if it had ended the run.
    pub code: u8,
    /// Advice, where there is some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Both ends of a connection.
#[derive(Debug, Clone, Serialize)]
pub struct Endpoints {
    /// Counts connections of this run from 1.
    pub conn: u64,
    /// Our end.
    pub local: String,
    /// The other end.
    pub peer: String,
    /// The peer's process (Unix sockets).
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    pub credentials: Option<Credentials>,
    /// The name in the peer's verified certificate (TLS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_name: Option<String>,
}

impl Endpoints {
    /// The ends of connection `conn`.
    pub fn new(conn: u64, facts: &ConnectionInfo) -> Endpoints {
        Endpoints {
            conn,
            local: facts.local.to_string(),
            peer: facts.peer.to_string(),
            credentials: facts.credentials,
            peer_name: facts.peer_name.clone(),
        }
    }
}

/// How a connection ended and what it carried.
#[derive(Debug, Clone, Serialize)]
pub struct Closed {
    /// The connection.
    pub conn: u64,
    /// Bytes the user received; under TLS the plain ones.
    pub bytes_in: u64,
    /// Bytes the user sent, likewise.
    pub bytes_out: u64,
    /// From connected or accepted to now.
    pub seconds: f64,
    /// Our end.
    pub local: String,
    /// The other end.
    pub peer: String,
    /// Who or what ended it.
    pub ended_by: EndedBy,
    /// A service's child: its exit status, 128 + N for signal N.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<i32>,
    /// The file that what came was saved in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved: Option<String>,
    /// Whether a server tells it (by default) or a client (under `-v`); not in JSON.
    #[serde(skip)]
    pub role: Role,
}

/// What a connection came to, in figures.
#[derive(Debug, Clone, Serialize)]
pub struct Stats {
    /// The connection.
    pub conn: u64,
    /// Bytes the user received.
    pub bytes_in: u64,
    /// Bytes the user sent.
    pub bytes_out: u64,
    /// From connected to the end.
    pub seconds: f64,
    /// Bytes a second received, on the average.
    pub rate_in: f64,
    /// Bytes a second sent, on the average.
    pub rate_out: f64,
    /// From the start of the run until the connection stood: name, TCP, layers.
    pub connect_milliseconds: f64,
    /// Who or what ended it.
    pub ended_by: EndedBy,
    /// How fast it went all the while, drawn; for people only.
    #[serde(skip)]
    pub picture: Option<String>,
}

/// The head of an HTTP answer, as it is told. All of it is the peer's choice.
#[derive(Debug, Clone, Serialize)]
pub struct ResponseHead {
    /// The connection.
    pub conn: u64,
    /// Where it came from, without credentials.
    pub url: String,
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub version: String,
    /// 100 to 999.
    pub status: u16,
    /// The reason phrase, often empty.
    pub reason: String,
    /// Names and values, in the order they came.
    pub fields: Vec<(String, String)>,
}

/// The phases of an HTTP exchange over all its redirects, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Timings {
    /// Looking up names.
    pub dns: f64,
    /// Connecting by TCP.
    pub connect: f64,
    /// Proxy and TLS; 0 without them.
    pub tls: f64,
    /// From the start of the run to the first byte of the last answer.
    pub first_byte: Option<f64>,
    /// From the start of the run to its end.
    pub total: f64,
    /// Bytes that came, headers included.
    pub bytes: u64,
}

/// On whose behalf an event is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We connected.
    Client,
    /// We accepted.
    Server,
}

/// One side of a connection, seen from us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The other end.
    Peer,
    /// We.
    Us,
}

impl Serialize for EndedBy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl Serialize for Credentials {
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
            phase: failure.stage.word(),
            target: failure.endpoint.clone(),
            cause: failure.cause(),
            code: failure.code.number(),
            hint: failure.hint.clone(),
        })
    }

    /// From which verbosity on it is told.
    pub fn level(&self) -> Level {
        match self {
            // Figures that were asked for are told to whoever wants nothing else.
            Event::Error(_) | Event::Stats(_) | Event::Timings(_) => Level::Error,
            Event::Warning { .. } | Event::Listening { .. } | Event::Accepted(_) => Level::Usual,
            Event::Certificate { .. } | Event::Log { .. } => Level::Usual,
            Event::Answer(_) => Level::Usual,
            Event::Closed(closed) if closed.role == Role::Server => Level::Usual,
            Event::Totals(_) => Level::Usual,
            Event::Connected(_)
            | Event::Closed(_)
            | Event::HalfClosed { .. }
            | Event::Resolved(_)
            | Event::Datagram { .. }
            | Event::Ping(_) => Level::Fact,
            Event::Step { .. } => Level::Step,
        }
    }
}

/// How much somebody must want to hear to be told an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Always, even under `-q`.
    Error,
    /// Unless `-q`.
    Usual,
    /// In JSON unless `-q`; in text under `-v`.
    Fact,
    /// Under `-v`.
    Step,
}
