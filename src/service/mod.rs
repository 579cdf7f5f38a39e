//! Services: what a server does with one accepted connection. A service does not know whether that
//! is TCP, TLS or a Unix socket: it has a [`Connection`], which reads, writes and closes.

pub mod broadcast;
pub mod chargen;
pub mod chat;
pub mod connection;
pub mod discard;
pub mod echo;
pub mod exec;
pub mod file;
pub mod framing;
pub mod message_splitter;
pub mod pipe;
pub mod reply;
pub mod template;

pub use connection::Connection;

use crate::error::Failure;
use crate::net::stream::EndedBy;

/// How a service ended its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceOutcome {
    /// What ended it.
    pub by: EndedBy,
    /// The exit status of the program (exec).
    pub exit_status: Option<i32>,
    /// The path of the saved file (file).
    pub saved: Option<String>,
}

impl From<EndedBy> for ServiceOutcome {
    fn from(by: EndedBy) -> ServiceOutcome {
        ServiceOutcome { by, exit_status: None, saved: None }
    }
}

/// A service; all connections of a server share it.
pub trait Service: Send + Sync + 'static {
    /// Serves one connection until it is closed.
    ///
    /// Fails at the phase in which the connection failed; the server continues.
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure>;

    /// Bytes of stack that a thread of this service needs.
    fn stack_size(&self) -> usize {
        64 << 10
    }

    /// Whether the bytes are relayed to a target, as the `closed` event then reports.
    fn relays(&self) -> bool {
        false
    }

    /// Called when the run ends: stops what outlives the connections.
    fn close(&self) {}
}
