//! Flags of `check`: how often, how long, and which result is wanted.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::client_tls::ClientTls;
use super::connect::{self, FamilyFlags, RouteFlags};
use super::values::{self, Limit};
use crate::check::target::{CheckTarget, Protocol};
use crate::check::{AddressCoverage, CheckOptions, Goal, HostOptions, Repeat, Require, Until};
use crate::error::{Failure, Phase};

/// The maximum number of counted attempts at all targets, whose times are kept.
const MAX_ATTEMPTS: u64 = 1_000_000;
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
    #[command(flatten, next_help_heading = "Connection")]
    pub(crate) families: FamilyFlags,
    /// Local address (and port) to connect from
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = connect::source,
          help_heading = "Connection")]
    pub source: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) route: RouteFlags,
    /// Use TLS: a port is open if the handshake succeeds
    #[arg(long, help_heading = "TLS")]
    pub tls: bool,
    #[command(flatten)]
    pub(crate) tls_options: ClientTls,
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
    /// The options of a check of `targets`.
    ///
    /// Fails with code 2 on flags that do not apply to them, with 26 if a file of TLS cannot be read.
    pub fn options(
        &self,
        targets: Vec<CheckTarget>,
        addresses: AddressCoverage,
    ) -> Result<CheckOptions, Failure> {
        self.check_transports(&targets)?;
        let attempts = targets.len() as u64 * u64::from(self.count.unwrap_or_default());
        if attempts > MAX_ATTEMPTS {
            let why = format!("more than {MAX_ATTEMPTS} attempts in all");
            return Err(Failure::usage(Phase::Connect, "--count", why));
        }
        Ok(CheckOptions {
            hosts: self.hosts(&targets)?,
            targets,
            timeout: self.timeout.0,
            goal: self.goal(addresses),
            max_jobs: usize::from(self.jobs),
            family: self.families.family_with(self.source),
            source: self.source,
            socket: self.route.socket_options(),
        })
    }

    /// Fails with 2 on flags of TCP for other targets, and on flags of TLS without `--tls`.
    fn check_transports(&self, targets: &[CheckTarget]) -> Result<(), Failure> {
        if !self.tls {
            self.tls_options.reject()?;
        }
        let is_tcp = |target: &CheckTarget| {
            matches!(target, CheckTarget::Port { protocol: Protocol::Tcp, .. })
        };
        let Some(other) = targets.iter().find(|target| !is_tcp(target)) else { return Ok(()) };
        let why = format!("cannot be used with {other}, which is no TCP port");
        if self.tls {
            Err(Failure::usage(Phase::Tls, "--tls", why))
        } else if self.route.has_proxy() {
            Err(Failure::usage(Phase::Proxy, "--proxy", why))
        } else {
            Ok(())
        }
    }

    /// Proxy and TLS of each host.
    fn hosts(&self, targets: &[CheckTarget]) -> Result<HashMap<Arc<str>, HostOptions>, Failure> {
        let scheme = if self.tls { "https" } else { "tcp" };
        let mut hosts = HashMap::new();
        for host in targets.iter().filter_map(CheckTarget::host) {
            if !hosts.contains_key(host) {
                let route = self.route.route(scheme, host)?;
                let layer = self.tls.then(|| self.tls_options.layer(host)).transpose()?;
                hosts.insert(host.clone(), HostOptions { route, layer });
            }
        }
        Ok(hosts)
    }

    fn goal(&self, addresses: AddressCoverage) -> Goal {
        let until = match self.until {
            WantedState::Open => Until::Open,
            WantedState::Closed => Until::Closed,
        };
        let require = if self.any { Require::Any } else { Require::All };
        Goal { repeat: self.repeat(), until, require, addresses }
    }

    /// How often each target is tried.
    fn repeat(&self) -> Repeat {
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
}
