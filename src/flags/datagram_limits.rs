//! How often datagrams are answered, and how long they are waited for.

use clap::Args;

use super::values::{self, Limit};

/// Flags of every server of datagrams.
#[derive(Debug, Args)]
#[command(next_help_heading = "Answering")]
pub struct DatagramLimitFlags {
    /// Answer one source address at most N times a second, that many in a burst; 0 = no limit
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_rate: u32,
    /// Take one datagram, then leave
    #[arg(long, conflicts_with = "max_datagrams")]
    pub once: bool,
    /// Take N datagrams, then leave
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_datagrams: Option<u64>,
    /// Leave when nothing has come for this long; 0 = never
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::limit, hide_default_value = true)]
    pub accept_timeout: Limit,
    /// Limit for the whole run; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = values::limit, hide_default_value = true)]
    pub timeout: Limit,
}

impl DatagramLimitFlags {
    /// After how many datagrams to leave.
    pub fn most(&self) -> Option<u64> {
        if self.once { Some(1) } else { self.max_datagrams }
    }
}
