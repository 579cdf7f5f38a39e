//! `check`: is something listening there, now or soon?

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::sync::Arc;

use super::confine;
use crate::check;
use crate::check::print::ResultPrinter;
use crate::check::target::{self, Protocol};
use crate::check::{CheckOptions, HostOptions, Target};
use crate::error::{ExitCode, Failure, Phase};
use crate::flags::check::CheckFlags;
use crate::flags::connect::{self, FamilyFlags, RouteFlags};
use crate::flags::tls::ClientTls;
use crate::net::stdout;
use crate::process::exec::Replacement;
use crate::process::sandbox::SandboxPolicy;
use crate::report::Report;
use crate::report::context::Context;

/// The maximum number of counted attempts at all targets, whose times are kept.
const MAX_ATTEMPTS: u64 = 1_000_000;

const RESULTS: &str = "Prints a line per target: open, refused, timeout, unreachable, no such \
                       name, resolver failed; for UDP open (answered), closed (ICMP), no answer. \
                       The exit code is 0 if all are open, else that of the first which is not: \
                       7, 28, 6 or 75.";

/// Arguments of check.
#[derive(Debug, clap::Args)]
#[command(after_help = RESULTS)]
pub struct Args {
    /// HOST:PORT, HOST:22,80,8000-8010, udp:HOST:PORT or unix:PATH
    #[arg(value_name = "TARGET", required = true, value_hint = clap::ValueHint::Hostname)]
    pub targets: Vec<OsString>,
    /// Program with arguments that replaces sockit if the check succeeds
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// Check
    #[command(flatten)]
    pub check: CheckFlags,
    /// Address family
    #[command(flatten, next_help_heading = "Connection")]
    pub families: FamilyFlags,
    /// Local address (and port) to connect from
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = connect::source,
          help_heading = "Connection")]
    pub source: Option<SocketAddr>,
    /// Proxy and socket options
    #[command(flatten)]
    pub route: RouteFlags,
    /// Use TLS: a port is open if the handshake succeeds
    #[arg(long, help_heading = "TLS")]
    pub tls: bool,
    /// TLS options
    #[command(flatten)]
    pub tls_options: ClientTls,
}

impl Args {
    /// Checks the targets; then becomes the command, if one was given.
    ///
    /// Fails with 2 on malformed targets and on flags that do not apply to them, with 26 if the
    /// command does not exist, and as [`check::run`] does.
    pub fn run(mut self, report: &Report) -> anyhow::Result<ExitCode> {
        let options = self.options()?;
        let command = std::mem::take(&mut self.command);
        let command = (!command.is_empty()).then(|| Replacement::find(command)).transpose()?;
        if let Some(why) = self.tls_options.warning() {
            report.warn(None, why);
        }
        if command.is_none() {
            confine(&policy(&options), report);
        }
        let context = Context::new(report, None)?;
        let write = |bytes: &[u8]| match stdout::write_all_or_shutdown(bytes, &context.shutdown) {
            Err(failure) if stdout::is_broken_pipe(&failure) => Ok(()),
            done => done,
        };
        let draws = io::stdout().is_terminal();
        let printer = ResultPrinter { report, draws, write: &write };
        let code = check::run(&context, options, &mut |results| printer.print(results))?;
        match command {
            Some(command) if code == ExitCode::Done => Err(command.exec().into()),
            _ => Ok(code),
        }
    }

    fn options(&self) -> Result<CheckOptions, Failure> {
        let targets = target::parse_all(&self.targets)?;
        self.check_transports(&targets)?;
        let attempts = targets.len() as u64 * u64::from(self.check.count.unwrap_or_default());
        if attempts > MAX_ATTEMPTS {
            let why = format!("more than {MAX_ATTEMPTS} attempts in all");
            return Err(Failure::usage(Phase::Connect, "--count", why));
        }
        Ok(CheckOptions {
            hosts: self.hosts(&targets)?,
            targets,
            timeout: self.check.timeout.0,
            repeat: self.check.repeat(),
            until: self.check.until(),
            quorum: self.check.quorum(),
            max_jobs: usize::from(self.check.jobs),
            family: self.families.family_with(self.source),
            source: self.source,
            socket: self.route.socket_options(),
        })
    }

    /// Fails with 2 on flags of TCP for other targets, and on flags of TLS without `--tls`.
    fn check_transports(&self, targets: &[Target]) -> Result<(), Failure> {
        if let Some(flag) = self.tls_options.first_given_flag().filter(|_| !self.tls) {
            return Err(Failure::usage(Phase::Tls, flag, "requires --tls"));
        }
        let is_tcp =
            |target: &Target| matches!(target, Target::Port { protocol: Protocol::Tcp, .. });
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
    fn hosts(&self, targets: &[Target]) -> Result<HashMap<Arc<str>, HostOptions>, Failure> {
        let scheme = if self.tls { "https" } else { "tcp" };
        let mut hosts = HashMap::new();
        for host in targets.iter().filter_map(Target::host) {
            if !hosts.contains_key(host) {
                let route = self.route.route(scheme, host)?;
                let layer = self.tls.then(|| self.tls_options.layer(host)).transpose()?;
                hosts.insert(host.clone(), HostOptions { route, layer });
            }
        }
        Ok(hosts)
    }
}

fn policy(options: &CheckOptions) -> SandboxPolicy {
    SandboxPolicy {
        reads: true,
        connects: true,
        binds: options.source.is_some(),
        sends_to_abstract: options.targets.iter().any(|target| matches!(target, Target::Unix(_))),
        ..SandboxPolicy::default()
    }
}
