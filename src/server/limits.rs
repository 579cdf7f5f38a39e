//! The limits of a server of streams.

use std::time::Duration;

use super::access::AccessRules;

/// The limits of a server of streams.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Connections of the complete run, after which the server exits.
    pub max_accepts: Option<u32>,
    /// Concurrent connections.
    pub max_conns: u32,
    /// Concurrent connections from one address.
    pub max_conns_per_ip: Option<u32>,
    /// The server exits if no connection arrives for this long.
    pub accept_timeout: Option<Duration>,
    /// A connection is closed if no byte moves for this long.
    pub idle_timeout: Option<Duration>,
    /// Time for open connections to finish when the run is shut down.
    pub grace: Duration,
    /// Bytes of stack of a connection's thread; `None` is what the service needs.
    pub stack_size: Option<usize>,
    /// The addresses from which connections are accepted.
    pub rules: AccessRules,
}
