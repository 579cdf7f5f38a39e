//! Whom to let in, how many at once, and how long.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use super::values::{self, Limit};
use crate::error::Failure;
use crate::server::accept_loop::Limits;
use crate::server::access::AccessRules;
use crate::shutdown::Shutdown;

/// Flags of every server that accepts connections.
#[derive(Debug, Args)]
#[command(next_help_heading = "Accepting")]
pub struct ServerLimitFlags {
    /// Serve one connection, then leave
    #[arg(long, conflicts_with = "max_accepts")]
    pub once: bool,
    /// Serve N connections, then leave
    #[arg(long, value_name = "N")]
    pub max_accepts: Option<NonZeroU32>,
    /// Leave when nobody has called for this long; 0 = never
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::limit, hide_default_value = true)]
    pub accept_timeout: Limit,
    /// Connections at once; further callers wait in the backlog
    #[arg(long, value_name = "N", default_value = "1024")]
    pub max_conns: NonZeroU32,
    /// Connections from one address, or one IPv6 /64, at a time; further ones are closed
    #[arg(long, value_name = "N")]
    pub max_conns_per_ip: Option<NonZeroU32>,
    /// End a connection after this much silence; 0 = never
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::limit, hide_default_value = true)]
    pub idle_timeout: Limit,
    /// Callers that are welcome: CIDR, ADDRESS, NAME or @FILE; the rest is not
    #[arg(long, value_name = "RULE")]
    pub allow: Vec<String>,
    /// Callers that are not welcome, unless also allowed
    #[arg(long, value_name = "RULE")]
    pub deny: Vec<String>,
    /// Callers the kernel lets wait (it caps this at somaxconn)
    #[arg(long, value_name = "N", default_value = "4096", value_parser = clap::value_parser!(i32).range(0..))]
    pub backlog: i32,
    /// Time to finish on ^C or SIGTERM before what is left is reset
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = values::duration)]
    pub grace: Duration,
    /// Limit for the whole run; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::limit, hide_default_value = true)]
    pub timeout: Limit,
    /// Stack of a connection's thread (64Ki and up)
    #[arg(long, value_name = "SIZE", value_parser = stack_size)]
    pub stack_size: Option<usize>,
}

impl ServerLimitFlags {
    /// The limits these flags ask for.
    ///
    /// Fails as [`Rules::read`] does.
    pub fn limits(&self, stop: &Shutdown) -> Result<Limits, Failure> {
        Ok(Limits {
            accepts: if self.once { Some(1) } else { self.max_accepts.map(NonZeroU32::get) },
            at_once: self.max_conns.get(),
            per_ip: self.max_conns_per_ip.map(NonZeroU32::get),
            quiet: self.accept_timeout.0,
            idle: self.idle_timeout.0,
            grace: self.grace,
            stack: self.stack_size,
            rules: AccessRules::read(&self.allow, &self.deny, stop)?,
        })
    }
}

/// 64 KiB is the floor: below it a panic that prints its backtrace overflows the stack.
fn stack_size(word: &str) -> Result<usize, String> {
    match values::size(word)? {
        bytes @ 0x1_0000..=0x4000_0000 => Ok(bytes as usize),
        _ => Err(format!("'{word}' is not a stack size from 64Ki to 1Gi")),
    }
}
