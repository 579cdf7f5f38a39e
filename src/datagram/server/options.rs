//! The options of a datagram server.

use std::time::Duration;

use super::handler::Handler;
use crate::datagram::RecvBuffer;
use crate::report::hexdump::ServerDump;

/// Time that programs have to finish when a server without `--grace` shuts down.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(3);

/// What a datagram server does, and its limits.
pub struct DatagramServerOptions {
    /// What is done with each datagram.
    pub handler: Handler,
    /// Whether the user chose the size of the kernel's receive buffer.
    pub recv_buffer: RecvBuffer,
    /// Replies to one source per second; 0 = no limit.
    pub max_rate: u32,
    /// Exit after this number of datagrams.
    pub max_datagrams: Option<u64>,
    /// Exit if no datagram arrives for this long.
    pub accept_timeout: Option<Duration>,
    /// Time before each reply.
    pub delay: Duration,
    /// Time that programs have to finish at shutdown.
    pub grace: Duration,
    /// The hex dump of both directions.
    pub hex: Option<ServerDump>,
}
