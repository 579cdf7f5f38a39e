//! The events of one connection: its ends, how it was closed, and its statistics.

use serde::{Serialize, Serializer};

use crate::net::stream::{ConnectionInfo, EndedBy, PeerCredentials};
use crate::report::escape::escape;

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

    /// The text of an accepted connection.
    pub fn accepted(&self) -> String {
        let resources =
            self.resources.as_ref().map(|these| format!(" ({these})")).unwrap_or_default();
        format!("Accept new connection from {}...{resources}", escape(&self.peer))
    }

    /// The text of a connection that a client has made.
    pub fn connected(&self) -> String {
        let client = self.client.as_ref().map(|client| format!("{}: ", escape(client)));
        let (client, local, peer) = (client.unwrap_or_default(), &self.local, &self.peer);
        format!("{client}Connected from {}\n{client}Connected to {}", escape(local), escape(peer))
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

/// The bytes that a relay has passed on, by the peer that received them.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Relayed {
    /// Bytes from the client to the target.
    pub bytes_to_target: u64,
    /// Bytes from the target to the client.
    pub bytes_to_client: u64,
}

impl Closed {
    /// The end, now, of connection `conn`, without bytes and without what only some services have.
    pub fn new(conn: u64, info: &ConnectionInfo, ended_by: EndedBy, role: Role) -> Closed {
        Closed {
            conn,
            bytes_in: 0,
            bytes_out: 0,
            seconds: info.began.elapsed().as_secs_f64(),
            local: info.local.to_string(),
            peer: info.peer.to_string(),
            ended_by,
            relayed: None,
            exit_status: None,
            saved: None,
            role,
        }
    }

    /// As one line of text.
    pub fn text(&self) -> String {
        let connection = match self.role {
            Role::Server => format!("Connection from {} closed.", escape(&self.peer)),
            Role::Client => format!("Connection to {} closed.", escape(&self.peer)),
        };
        let (received, sent) = match self.relayed {
            Some(_) => ("to target", "to client"),
            None => ("in", "out"),
        };
        let bytes = format!("{} bytes {received}, {} bytes {sent}", self.bytes_in, self.bytes_out);
        let carried = format!("{bytes}, {:.3} s", self.seconds);
        let status = self.exit_status.map(|s| format!(", exit status {s}")).unwrap_or_default();
        let saved = self.saved.as_ref().map(|path| format!(", saved as {}", escape(path)));
        let saved = saved.unwrap_or_default();
        format!("{connection} {carried}, ended by {}{status}{saved}", self.ended_by.name())
    }
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

impl Stats {
    /// As one line of text, and the sparkline.
    pub fn text(&self) -> String {
        let rate = |rate: f64| bytesize::ByteSize(rate as u64).display().iec().to_string();
        let sparkline = self.sparkline.as_ref().map(|line| format!("\n{line}")).unwrap_or_default();
        format!(
            "received {} bytes ({}/s), sent {} bytes ({}/s), in {:.3} s; connected in {:.1} ms; \
             ended by {}{sparkline}",
            self.bytes_in,
            rate(self.rate_in),
            self.bytes_out,
            rate(self.rate_out),
            self.seconds,
            self.connect_milliseconds,
            self.ended_by.name()
        )
    }
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

impl Side {
    /// The text of a half-closed connection, to `peer` where there are several.
    pub fn half_closed(self, peer: Option<&str>) -> String {
        let peer = peer.map(escape);
        match (self, peer) {
            (Side::Local, None) => "Half-closed: we send no more.".to_string(),
            (Side::Local, Some(peer)) => format!("Half-closed: we send no more to {peer}."),
            (_, peer) => {
                format!("Half-closed: {} sends no more.", peer.as_deref().unwrap_or("the peer"))
            }
        }
    }
}

impl Serialize for EndedBy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
