//! The two steps of an attempt at a target: its addresses, and a connection to one of them.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hosts::{HostCache, Lifetime, LookupLimits};
use super::options::{CheckOptions, Repeat};
use super::probe::{PendingProbe, ProbeAddress, probe};
use super::target::{CheckTarget, Protocol};
use super::verdict::Verdict;
use crate::error::Failure;
use crate::net::route::Route;
use crate::report::Report;
use crate::report::context::Context;
use crate::shutdown::{Shutdown, ShutdownReason};

/// Descriptors of this process that are not sockets of attempts.
const OTHER_DESCRIPTORS: u64 = 24;

/// Makes the attempts of a run; threads share it.
pub struct Prober {
    /// The options of the run.
    pub options: CheckOptions,
    /// The maximum number of concurrent attempts.
    pub max_concurrent: usize,
    hosts: HostCache,
    /// Its token ends at the limit of the wait.
    context: Context,
}

impl Prober {
    /// The prober of a run that ends at `deadline`. Fails if no pipe can be created.
    pub fn new(
        options: CheckOptions,
        report: &Report,
        deadline: Option<Instant>,
    ) -> io::Result<Prober> {
        let max_concurrent = options.max_jobs.min(max_sockets()).max(1);
        let is_wait = matches!(options.goal.repeat, Repeat::Wait { .. });
        let limits = LookupLimits {
            timeout: options.timeout,
            max_lookups: max_concurrent,
            lifetime: if is_wait { Lifetime::Limited } else { Lifetime::Run },
        };
        let hosts = HostCache::new(options.family, limits, report.clone());
        let context = Context { report: report.clone(), shutdown: Shutdown::new(deadline)? };
        Ok(Prober { options, max_concurrent, hosts, context })
    }

    /// Ends all attempts: their verdicts have become irrelevant.
    pub fn stop(&self) {
        self.context.shutdown.trigger(ShutdownReason::Deadline);
    }

    /// Returns where to connect to for the target of this index, or the verdict if its name has no
    /// address.
    pub fn resolve(&self, target: usize) -> Result<Vec<PendingProbe>, Box<Verdict>> {
        let (began, name) = (Instant::now(), &self.options.targets[target]);
        let destinations = self.destinations(name).map_err(|failure| {
            let verdict = Box::new(Verdict::failed(&failure));
            self.log(name, None, &verdict);
            verdict
        })?;
        let limit = self.limit(destinations.len(), began.elapsed());
        tracing::debug!(target = %name, addresses = destinations.len(), ?limit, "attempt");
        let pending = |destination| PendingProbe { destination, limit };
        Ok(destinations.into_iter().map(pending).collect())
    }

    /// Connects to one address of the target of this index.
    pub fn connect(&self, target: usize, pending: &PendingProbe) -> Verdict {
        let target = &self.options.targets[target];
        let attempt = || probe(target, pending, &self.options, &self.context);
        let verdict = catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| {
            Verdict::failed(&Failure::local_resource(target, io::Error::other("internal error")))
        });
        self.log(target, Some(&pending.destination), &verdict);
        tracing::debug!(%target, status = %verdict.status, took = ?verdict.elapsed, "verdict");
        verdict
    }

    /// The time limit of each of `addresses` addresses of a target: what the lookup has left of that
    /// of the target, shared by those that cannot be tried concurrently.
    fn limit(&self, addresses: usize, lookup: Duration) -> Option<Duration> {
        let turns = u32::try_from(addresses.div_ceil(self.max_concurrent)).unwrap_or(u32::MAX);
        self.options.timeout.map(|timeout| timeout.saturating_sub(lookup) / turns.max(1))
    }

    fn destinations(&self, target: &CheckTarget) -> Result<Vec<ProbeAddress>, Arc<Failure>> {
        let CheckTarget::Port { protocol, host, port } = target else {
            return Ok(vec![ProbeAddress::AsGiven]);
        };
        let options = self.options.hosts.get(host);
        if let Some(Route::Tunnel(proxy)) = options.map(|options| &options.route)
            && proxy.resolves()
            && *protocol == Protocol::Tcp
        {
            return Ok(vec![ProbeAddress::AsGiven]);
        }
        let found = self.hosts.addresses(host, self.context.shutdown.deadline())?;
        let with_port = |address: &SocketAddr| {
            let mut address = *address;
            address.set_port(*port);
            ProbeAddress::Resolved(address)
        };
        Ok(found.iter().map(with_port).collect())
    }

    /// Logs the verdict on an address, or on a name, under `-v`.
    fn log(&self, target: &CheckTarget, destination: Option<&ProbeAddress>, verdict: &Verdict) {
        self.context.report.step(|| {
            let line = verdict.report(target).line();
            match destination {
                Some(ProbeAddress::Resolved(address))
                    if !target.to_string().ends_with(&address.to_string()) =>
                {
                    format!("{address}: {line}")
                }
                _ => line,
            }
        });
    }
}

/// The number of sockets that this process may have at the same time (getrlimit(2)).
fn max_sockets() -> usize {
    use rustix::process::{Resource, getrlimit};
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(descriptors.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX)
}
