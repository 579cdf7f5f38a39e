//! The events of an HTTP exchange: the head of a response, and how long the phases took.

use serde::Serialize;

use crate::report::escape::escape;

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

impl ResponseHead {
    /// As lines of text.
    pub fn text(&self) -> String {
        let first = format!("{} {} {}", self.version, self.status, escape(&self.reason));
        let fields = self.fields.iter().map(|(name, value)| format!("{name}: {}\n", escape(value)));
        let text = format!("{}\n{}", first.trim_end(), fields.collect::<String>());
        if self.is_marked {
            text.lines().map(|line| format!("< {line}")).collect::<Vec<_>>().join("\n")
        } else {
            text
        }
    }
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

impl Timings {
    /// As one line of text.
    pub fn text(&self) -> String {
        let first = self.first_byte.map_or("none".to_string(), |ms| format!("{ms:.3} ms"));
        format!(
            "dns {:.3} ms, connect {:.3} ms, tls {:.3} ms, first byte {first}, total {:.3} ms, {} bytes",
            self.dns, self.connect, self.tls, self.total, self.bytes
        )
    }
}
