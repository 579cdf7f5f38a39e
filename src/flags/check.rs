//! Flags of `check`: how often, how long, and which result is wanted.

use std::time::Duration;

use clap::Args;

use super::values::{self, Limit};
use crate::check::{Quorum, Repeat, Until};

/// The shortest pause between the attempts of a wait.
const MIN_PAUSE: Duration = Duration::from_millis(1);
/// The default pause between them.
const PAUSE: Duration = Duration::from_millis(100);
/// The default time between counted attempts.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// How often targets are tried, and what is wanted of them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Check")]
pub struct CheckFlags {
    /// Timeout of each attempt at a target: DNS, TCP, proxy and TLS together; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = values::limit)]
    pub timeout: Limit,
    /// Try again until all targets are open, at most this long (exit code 28 then); 0 = no limit
    #[arg(long, value_name = "DURATION", value_parser = values::limit, group = "repeated")]
    pub wait: Option<Limit>,
    /// Wanted state of the targets
    #[arg(long, value_name = "STATE", value_enum, default_value_t, conflicts_with = "count")]
    pub until: WantedState,
    /// Succeed if one of the targets has the wanted state
    #[arg(long)]
    pub any: bool,
    /// Maximum number of concurrent attempts, each with one socket and one thread
    #[arg(long, value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: u16,
    /// Try each target N times and print the times to connect: min, average, max and p99
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000),
          group = "repeated")]
    pub count: Option<u32>,
    /// Pause between the attempts of --wait [default: 100ms], or interval of --count [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = values::duration, requires = "repeated")]
    pub interval: Option<Duration>,
}

/// The wanted state of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum WantedState {
    /// It accepts connections, or answers datagrams
    #[default]
    Open,
    /// It refuses connections, or cannot be reached at all
    Closed,
}

impl CheckFlags {
    /// How often each target is tried.
    pub fn repeat(&self) -> Repeat {
        if let Some(times) = self.count {
            return Repeat::Count { times, interval: self.interval.unwrap_or(COUNT_INTERVAL) };
        }
        match self.wait {
            Some(Limit(limit)) => {
                let interval = self.interval.unwrap_or(PAUSE).max(MIN_PAUSE);
                Repeat::Wait { limit, interval }
            }
            None => Repeat::Once,
        }
    }

    /// The wanted state.
    pub fn until(&self) -> Until {
        match self.until {
            WantedState::Open => Until::Open,
            WantedState::Closed => Until::Closed,
        }
    }

    /// How many targets must have it.
    pub fn quorum(&self) -> Quorum {
        if self.any { Quorum::Any } else { Quorum::All }
    }
}
