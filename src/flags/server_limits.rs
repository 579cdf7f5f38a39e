//! Flags of servers that accept connections: limits and access rules.

use std::time::Duration;

use clap::Args;

use super::values::{self, Limit};
use crate::error::{Failure, Phase};
use crate::server::access::AccessRules;
use crate::server::limits::ServerLimits;
use crate::shutdown::Shutdown;

/// Flags of every server that accepts connections.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection limits")]
pub struct ServerLimitFlags {
    /// Serve one connection, then exit
    #[arg(long, conflicts_with = "max_accepts")]
    pub once: bool,
    /// Serve N connections, then exit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_accepts: Option<u32>,
    /// Exit if no connection arrives for this long; 0 = never
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::limit, hide_default_value = true)]
    pub accept_timeout: Limit,
    /// Maximum of concurrent connections; further ones wait in the backlog
    #[arg(long, value_name = "N", default_value = "1024", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_conns: u32,
    /// Maximum of concurrent connections per IPv4 address or IPv6 /64; further ones are closed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_conns_per_ip: Option<u32>,
    /// Close a connection after this long without data; 0 = never
    #[arg(long, value_name = "DURATION", value_parser = values::limit)]
    pub idle_timeout: Option<Limit>,
    /// Accept connections only from RULE: CIDR, ADDRESS, NAME or @FILE
    #[arg(long, value_name = "RULE")]
    pub allow: Vec<String>,
    /// Reject connections from RULE unless --allow matches
    #[arg(long, value_name = "RULE")]
    pub deny: Vec<String>,
    /// Listen backlog (capped by net.core.somaxconn)
    #[arg(long, value_name = "N", default_value = "4096", value_parser = clap::value_parser!(i32).range(0..))]
    pub backlog: i32,
    /// Time for connections to finish on ^C or SIGTERM; the remaining ones are reset
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = values::duration)]
    pub grace: Duration,
    /// Timeout of the complete run; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::limit, hide_default_value = true)]
    pub timeout: Limit,
    /// Stack size of a connection's thread (64Ki to 1Gi)
    #[arg(long, value_name = "SIZE", value_parser = stack_size)]
    pub stack_size: Option<usize>,
}

impl ServerLimitFlags {
    /// The limits of a server with these flags; names in rules are resolved.
    ///
    /// Fails as [`AccessRules::parse`] does.
    pub fn limits(&self, shutdown: &Shutdown) -> Result<ServerLimits, Failure> {
        Ok(ServerLimits {
            max_accepts: if self.once { Some(1) } else { self.max_accepts },
            max_conns: self.max_conns,
            max_conns_per_ip: self.max_conns_per_ip,
            accept_timeout: self.accept_timeout.0,
            idle_timeout: self.idle_timeout.and_then(|limit| limit.0),
            grace: self.grace,
            stack_size: self.stack_size,
            rules: AccessRules::parse(&self.allow, &self.deny, shutdown)?,
        })
    }

    /// Rejects rules for IP addresses on a Unix socket, where they would have no effect; `hint` names
    /// what limits access there.
    ///
    /// Fails with exit code 2.
    pub fn reject_ip_rules(&self, hint: &str) -> Result<(), Failure> {
        let flag = match (self.allow.is_empty(), self.deny.is_empty(), self.max_conns_per_ip) {
            (false, _, _) => "--allow",
            (_, false, _) => "--deny",
            (_, _, Some(_)) => "--max-conns-per-ip",
            _ => return Ok(()),
        };
        let why = "clients of a Unix socket have no IP address";
        Err(Failure::usage(Phase::Listen, flag, why).with_hint(hint))
    }
}

/// 64 KiB is the minimum: with less, a panic that prints its backtrace overflows the stack.
fn stack_size(word: &str) -> Result<usize, String> {
    match values::size(word)? {
        bytes @ 0x1_0000..=0x4000_0000 => Ok(bytes as usize),
        _ => Err(format!("'{word}' is not a stack size from 64Ki to 1Gi")),
    }
}
