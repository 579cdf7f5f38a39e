//! Flags for retries.

use std::time::Duration;

use clap::Args;

use super::values;
use crate::net::retry::RetryPolicy;

/// Flags of every client that connects.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct RetryFlags {
    /// Number of retries if the name does not resolve or the connection fails
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retry: u32,
    /// Delay before each retry
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = values::duration)]
    pub retry_delay: Duration,
}

impl RetryFlags {
    /// The retries to make.
    pub fn retry(&self) -> RetryPolicy {
        RetryPolicy { max_retries: self.retry, delay: self.retry_delay }
    }
}
