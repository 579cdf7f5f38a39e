//! Trying again when nobody answers.

use std::time::Duration;

use clap::Args;

use super::values;
use crate::net::retry::Retry;

/// Flags of every client that connects.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connecting")]
pub struct RetryFlags {
    /// Try again up to N times when the name is absent or the peer cannot be reached
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retry: u32,
    /// Wait this long before trying again
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = values::duration)]
    pub retry_delay: Duration,
}

impl RetryFlags {
    /// The rounds these flags ask for.
    pub fn retry(&self) -> Retry {
        Retry { times: self.retry, delay: self.retry_delay }
    }
}
