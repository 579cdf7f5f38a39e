//! The addresses of the hosts of a run: each name is looked up once for all its ports.
//!
//! The C library takes no time limit, so a lookup has a thread of its own, which may outlive the
//! attempt that started it; its result then serves the next one.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Failure, Phase};
use crate::net::socket_event::SocketEvent;
use crate::poll::earliest;
use crate::report::Report;
use crate::resolver::{Family, STACK_SIZE, getaddrinfo};

/// How long addresses are used during a wait: a host may move.
const MAX_AGE: Duration = Duration::from_secs(30);
/// How long a failed lookup is not repeated during a wait: a name may appear.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The addresses of a host, or why there are none.
pub type HostAddresses = Result<Arc<[SocketAddr]>, Arc<Failure>>;

/// A lookup of a name.
pub type HostLookup = fn(&str, Family) -> Result<Vec<SocketAddr>, Failure>;

/// The limits of lookups.
#[derive(Debug, Clone, Copy)]
pub struct LookupLimits {
    /// The time limit of one lookup.
    pub timeout: Option<Duration>,
    /// The maximum number of running lookups, those past their limit included.
    pub max_lookups: usize,
    /// Whether results are used for the complete run, or for a while.
    pub lifetime: Lifetime,
}

/// How long results are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until the end of the run.
    Run,
    /// For a limited time, after which the name is looked up again.
    Limited,
}

/// The addresses that are known. Threads share it.
pub struct HostCache {
    family: Family,
    limits: LookupLimits,
    lookup: HostLookup,
    report: Report,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    entries: Mutex<HashMap<Arc<str>, Entry>>,
    changed: Condvar,
}

#[derive(Debug)]
enum Entry {
    Running { since: Instant },
    Done { at: Instant, addresses: HostAddresses },
}

impl HostCache {
    /// An empty cache for addresses of `family`; lookups are steps of `report`.
    pub fn new(family: Family, limits: LookupLimits, report: Report) -> HostCache {
        let lookup = getaddrinfo::addresses;
        HostCache { family, limits, lookup, report, shared: Arc::default() }
    }

    /// Returns the addresses of `host` with port 0, waiting for a running lookup until its time limit
    /// or `deadline`.
    pub fn addresses(&self, host: &Arc<str>, deadline: Option<Instant>) -> HostAddresses {
        if let Some(found) = getaddrinfo::numeric(host, self.family)? {
            return Ok(found.into());
        }
        let began = Instant::now();
        let mut entries = self.shared.lock();
        loop {
            let since = match entries.get(host) {
                Some(Entry::Done { at, addresses }) if self.is_fresh(*at, addresses) => {
                    return addresses.clone();
                }
                Some(Entry::Running { since }) => *since,
                _ if running(&entries) < self.limits.max_lookups => {
                    // Its result waits for the lock.
                    self.start(host).map_err(|e| Failure::resolver(host, e))?;
                    let since = Instant::now();
                    entries.insert(host.clone(), Entry::Running { since });
                    since
                }
                _ => began,
            };
            let limit = self.limits.timeout.and_then(|timeout| since.checked_add(timeout));
            let until = earliest(limit, deadline);
            if until.is_some_and(|at| at <= Instant::now()) {
                let limit = self.limits.timeout.unwrap_or_default();
                return Err(Failure::timeout(Phase::Resolve, host, limit).into());
            }
            entries = self.shared.wait(entries, until);
        }
    }

    fn is_fresh(&self, at: Instant, addresses: &HostAddresses) -> bool {
        let max_age = if addresses.is_ok() { MAX_AGE } else { RETRY_DELAY };
        self.limits.lifetime == Lifetime::Run || at.elapsed() < max_age
    }

    fn start(&self, host: &Arc<str>) -> io::Result<()> {
        let (shared, lookup, family) = (self.shared.clone(), self.lookup, self.family);
        let (name, report) = (host.clone(), self.report.clone());
        report.on_socket_event(SocketEvent::Resolving(name.to_string()));
        let thread = thread::Builder::new().name("resolve".into()).stack_size(STACK_SIZE);
        let started = thread.spawn(move || {
            let found = lookup(&name, family);
            if let Ok(found) = &found {
                report.on_socket_event(SocketEvent::Resolved(name.to_string(), found.clone()));
            }
            let addresses = found.map(Arc::from).map_err(Arc::new);
            shared.lock().insert(name, Entry::Done { at: Instant::now(), addresses });
            shared.changed.notify_all();
        });
        started.map(drop)
    }
}

fn running(entries: &HashMap<Arc<str>, Entry>) -> usize {
    entries.values().filter(|entry| matches!(entry, Entry::Running { .. })).count()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        entries: MutexGuard<'a, HashMap<Arc<str>, Entry>>,
        until: Option<Instant>,
    ) -> MutexGuard<'a, HashMap<Arc<str>, Entry>> {
        let Some(until) = until else {
            return self.changed.wait(entries).unwrap_or_else(PoisonError::into_inner);
        };
        let left = until.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(entries, left).unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LIMITS: LookupLimits = LookupLimits {
        timeout: Some(Duration::from_secs(20)),
        max_lookups: 4,
        lifetime: Lifetime::Run,
    };

    fn cache(lookup: HostLookup, limits: LookupLimits) -> HostCache {
        HostCache { lookup, ..HostCache::new(Family::Any, limits, Report::plain()) }
    }

    fn loopback(_: &str, _: Family) -> Result<Vec<SocketAddr>, Failure> {
        Ok(vec![([127, 0, 0, 1], 0).into()])
    }

    #[test]
    fn name_is_looked_up_once_for_all_threads() {
        static LOOKUPS: AtomicUsize = AtomicUsize::new(0);
        fn counted(name: &str, family: Family) -> Result<Vec<SocketAddr>, Failure> {
            LOOKUPS.fetch_add(1, Ordering::SeqCst);
            thread::yield_now();
            loopback(name, family)
        }
        let (hosts, name) = (cache(counted, LIMITS), Arc::from("db"));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(hosts.addresses(&name, None).unwrap().len(), 1));
            }
        });
        assert_eq!(LOOKUPS.load(Ordering::SeqCst), 1);
        assert_eq!(hosts.addresses(&Arc::from("127.0.0.9"), None).unwrap().len(), 1);
        assert_eq!(LOOKUPS.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn failure_is_kept_for_the_run() {
        fn absent(name: &str, _: Family) -> Result<Vec<SocketAddr>, Failure> {
            Err(Failure::new(Phase::Resolve, name, "not known").with_code(ExitCode::Resolve))
        }
        let (hosts, name) = (cache(absent, LIMITS), Arc::from("db"));
        for _ in 0..2 {
            assert_eq!(hosts.addresses(&name, None).unwrap_err().code, ExitCode::Resolve);
        }
    }

    #[test]
    fn silent_resolver_ends_at_the_limit_and_starts_no_more_threads() {
        static LOOKUPS: AtomicUsize = AtomicUsize::new(0);
        fn silent(name: &str, family: Family) -> Result<Vec<SocketAddr>, Failure> {
            LOOKUPS.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_secs(5));
            loopback(name, family)
        }
        let timeout = Some(Duration::from_millis(20));
        let hosts = cache(silent, LookupLimits { timeout, max_lookups: 1, ..LIMITS });
        for name in ["a", "a", "b", "c"] {
            let failure = hosts.addresses(&Arc::from(name), None).unwrap_err();
            assert_eq!(failure.code, ExitCode::Timeout, "{name}");
        }
        assert!(LOOKUPS.load(Ordering::SeqCst) <= 1);
    }
}
