//! Limits of a UDP server.

use std::time::Duration;

use clap::Args;

use super::listen::ListenFlags;
use super::values::{self, Limit};
use crate::datagram::RecvBuffer;
use crate::datagram::server::handler::Handler;
use crate::datagram::server::options::{DEFAULT_GRACE, DatagramServerOptions};

/// Flags of every UDP server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct DatagramLimitFlags {
    /// Send at most N replies per second to one source address, and as many in a burst; 0 = no limit
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_rate: u32,
    /// Exit after one datagram
    #[arg(long, conflicts_with = "max_datagrams")]
    pub once: bool,
    /// Exit after N datagrams
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_datagrams: Option<u64>,
    /// Exit if no datagram arrives for this long; 0 = never
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::limit, hide_default_value = true)]
    pub accept_timeout: Limit,
    /// Timeout of the complete run; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::limit, hide_default_value = true)]
    pub timeout: Limit,
}

impl DatagramLimitFlags {
    /// The options of a server with these limits, on a socket opened by `listen`.
    pub fn server_options(
        &self,
        listen: &ListenFlags,
        handler: Handler,
        delay: Duration,
    ) -> DatagramServerOptions {
        let keep = listen.socket.recv_buffer.is_some();
        DatagramServerOptions {
            handler,
            recv_buffer: if keep { RecvBuffer::Keep } else { RecvBuffer::Grow },
            max_rate: self.max_rate,
            max_datagrams: if self.once { Some(1) } else { self.max_datagrams },
            accept_timeout: self.accept_timeout.0,
            delay,
            grace: DEFAULT_GRACE,
            hex: None,
        }
    }
}
