//! What a server does with one accepted peer. A service cannot tell TLS from TCP from a Unix
//! socket: it has a [`Guest`], which receives, sends and takes leave.

pub mod chat;
pub mod connection;
pub mod echo;
pub mod exec;
pub mod file;
pub mod framing;
pub mod pipe;
pub mod reply;
pub mod sink;
pub mod template;

use crate::error::Failure;
pub use connection::Connection;

use crate::net::stream::EndedBy;

/// How a service's conversation came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceOutcome {
    /// Who or what ended it.
    pub by: EndedBy,
    /// The exit status of the program that served (exec).
    pub exit_status: Option<i32>,
    /// The file that what came was saved in (file).
    pub saved: Option<String>,
}

impl From<EndedBy> for ServiceOutcome {
    fn from(by: EndedBy) -> ServiceOutcome {
        ServiceOutcome { by, exit_status: None, saved: None }
    }
}

/// One kind of service, shared by all connections of a server.
pub trait Service: Send + Sync + 'static {
    /// Serves one guest until either side has had enough.
    ///
    /// Fails at the stage where the conversation broke; the server goes on.
    fn serve(&self, guest: &mut Connection) -> Result<ServiceOutcome, Failure>;

    /// Bytes of stack that a thread of this service needs.
    fn stack(&self) -> usize {
        64 << 10
    }

    /// The run is over: lets go of whatever outlives its connections.
    fn close(&self) {}
}
