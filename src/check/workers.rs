//! The worker threads of a check, each of which makes one attempt at a time.
//!
//! A worker with nothing to do exits, and one with work for another starts it, so that there are as
//! many as there are attempts, at most `max_jobs`. The last one sleeps until an attempt is due.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::hosts::{HostCache, Lifetime, LookupLimits};
use super::options::{CheckOptions, Repeat};
use super::probe::{PendingProbe, ProbeAddress, probe};
use super::schedule::{AttemptPart, NextStep, Schedule};
use super::target::{CheckTarget, Protocol};
use super::verdict::Verdict;
use crate::error::Failure;
use crate::net::proxy::Route;
use crate::report::Report;
use crate::report::context::Context;
use crate::shutdown;
use crate::shutdown::{Shutdown, ShutdownReason, WakePipe};

/// Stack of a worker, in bytes: most of it is for a TLS handshake without optimisation.
const STACK_SIZE: usize = 512 << 10;
/// Descriptors of this process that are not sockets of attempts.
const OTHER_DESCRIPTORS: u64 = 24;

/// What workers and the calling thread share.
pub struct Workers {
    /// The options of the run.
    pub options: CheckOptions,
    state: Mutex<WorkerState>,
    /// Notified when the sleeper is to look at the schedule again.
    changed: Condvar,
    hosts: HostCache,
    /// Its token ends at the limit of the wait.
    attempts: Context,
    max_workers: usize,
    /// Announces results. Its first end lives as long as the workers: a write without a reader would
    /// raise SIGPIPE in the program that replaces this process.
    pipe: WakePipe,
    is_waiting: AtomicBool,
}

/// The state of the targets and of the workers.
pub struct WorkerState {
    /// What is known about the targets.
    pub schedule: Schedule<PendingProbe>,
    workers: usize,
    /// Until when the one worker sleeps that has no work; the others exit.
    sleeps_until: Option<Instant>,
}

type Guard<'a> = MutexGuard<'a, WorkerState>;

impl Workers {
    /// Starts a worker, and with it the first attempts.
    ///
    /// Fails if no thread or pipe can be created.
    pub fn start(options: CheckOptions, report: &Report) -> io::Result<Arc<Workers>> {
        let workers = Arc::new(Workers::new(options, report)?);
        workers.spawn_worker(&mut workers.lock())?;
        Ok(workers)
    }

    fn new(options: CheckOptions, report: &Report) -> io::Result<Workers> {
        let schedule = Schedule::new(options.targets.len(), options.goal, Instant::now());
        let shutdown = Shutdown::new(schedule.deadline())?;
        let max_workers = options.max_jobs.min(max_sockets()).max(1);
        let is_wait = matches!(options.goal.repeat, Repeat::Wait { .. });
        let limits = LookupLimits {
            timeout: options.timeout,
            max_lookups: max_workers,
            lifetime: if is_wait { Lifetime::Limited } else { Lifetime::Run },
        };
        Ok(Workers {
            hosts: HostCache::new(options.family, limits, report.clone()),
            state: Mutex::new(WorkerState { schedule, workers: 0, sleeps_until: None }),
            changed: Condvar::new(),
            attempts: Context { report: report.clone(), shutdown },
            max_workers,
            pipe: shutdown::wake_pipe()?,
            is_waiting: AtomicBool::new(false),
            options,
        })
    }

    /// Ends all attempts: their verdicts have become irrelevant.
    pub fn stop(&self) {
        self.attempts.shutdown.trigger(ShutdownReason::Deadline);
    }

    /// Makes the next result write to the wake pipe.
    pub fn wake_on_result(&self) {
        self.is_waiting.store(true, Ordering::SeqCst);
    }

    /// The descriptor that becomes readable with the next result.
    pub fn wake_rx(&self) -> BorrowedFd<'_> {
        self.pipe.rx.as_fd()
    }

    /// Locks the state.
    pub fn lock(&self) -> MutexGuard<'_, WorkerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a worker; fails if there are no more threads.
    fn spawn_worker(self: &Arc<Workers>, state: &mut WorkerState) -> io::Result<()> {
        let workers = self.clone();
        let thread = thread::Builder::new().name("check".into()).stack_size(STACK_SIZE);
        let span = tracing::Span::current();
        thread.spawn(move || span.in_scope(|| workers.work()))?;
        state.workers += 1;
        Ok(())
    }

    /// Wakes or starts one more worker if there is work for it. If none can be created, the others
    /// do it.
    fn grow(self: &Arc<Workers>, state: &mut WorkerState) {
        if !state.schedule.has_work() {
            return;
        }
        if state.sleeps_until.is_some() {
            self.changed.notify_one();
        } else if state.workers < self.max_workers {
            let _ = self.spawn_worker(state);
        }
    }

    /// Works until the schedule has nothing more for this worker.
    fn work(self: Arc<Workers>) {
        let mut state = self.lock();
        loop {
            let next = state.schedule.next(Instant::now());
            self.grow(&mut state);
            state = match (next, state.sleeps_until) {
                (NextStep::Attempt(target), _) => self.attempt(target, state),
                (NextStep::Connect(part), _) => self.connect(&part, state),
                (NextStep::Wait(Some(until)), None) => self.sleep(until, state),
                (NextStep::Wait(until), sleeps_until) => {
                    if until < sleeps_until {
                        self.changed.notify_one();
                    }
                    break;
                }
                (NextStep::Over, _) => break,
            };
        }
        state.workers -= 1;
    }

    fn sleep<'a>(&'a self, until: Instant, mut state: Guard<'a>) -> Guard<'a> {
        state.sleeps_until = Some(until);
        let left = until.saturating_duration_since(Instant::now());
        tracing::debug!(?left, workers = state.workers, "waits for the next attempt");
        let slept = self.changed.wait_timeout(state, left);
        let mut state = slept.unwrap_or_else(PoisonError::into_inner).0;
        state.sleeps_until = None;
        state
    }

    /// Resolves the name of a target and connects to its first address.
    fn attempt<'a>(self: &'a Arc<Workers>, target: usize, state: Guard<'a>) -> Guard<'a> {
        drop(state);
        let began = Instant::now();
        let name = &self.options.targets[target];
        let resolved = self.destinations(name);
        let mut state = self.lock();
        match resolved {
            Ok(destinations) => {
                let limit = self.limit(destinations.len(), began.elapsed());
                tracing::debug!(target = %name, addresses = destinations.len(), ?limit, "attempt");
                let connection = |destination| PendingProbe { destination, limit };
                let connections = destinations.into_iter().map(connection).collect();
                let first = state.schedule.resolved(target, connections);
                self.grow(&mut state);
                match first {
                    Some(part) => self.connect(&part, state),
                    None => state,
                }
            }
            Err(failure) => {
                let verdict = Verdict::failed(&failure);
                self.log(target, None, &verdict);
                state.schedule.attempted(target, verdict, Instant::now());
                self.announce_result();
                state
            }
        }
    }

    /// The time limit of each of `addresses` addresses of a target: what the lookup has left of that
    /// of the target, shared by those that cannot be tried concurrently.
    fn limit(&self, addresses: usize, lookup: Duration) -> Option<Duration> {
        let turns = u32::try_from(addresses.div_ceil(self.max_workers)).unwrap_or(u32::MAX);
        self.options.timeout.map(|timeout| timeout.saturating_sub(lookup) / turns.max(1))
    }

    fn destinations(&self, target: &CheckTarget) -> Result<Vec<ProbeAddress>, Arc<Failure>> {
        let CheckTarget::Port { protocol, host, port } = target else {
            return Ok(vec![ProbeAddress::AsGiven]);
        };
        let options = self.options.hosts.get(host);
        if let Some(Route::Through(proxy)) = options.map(|options| &options.route)
            && proxy.resolves()
            && *protocol == Protocol::Tcp
        {
            return Ok(vec![ProbeAddress::AsGiven]);
        }
        let found = self.hosts.addresses(host, self.attempts.shutdown.deadline())?;
        let with_port = |address: &SocketAddr| {
            let mut address = *address;
            address.set_port(*port);
            ProbeAddress::Resolved(address)
        };
        Ok(found.iter().map(with_port).collect())
    }

    fn connect<'a>(&'a self, part: &AttemptPart<PendingProbe>, state: Guard<'a>) -> Guard<'a> {
        drop(state);
        let target = &self.options.targets[part.target];
        let attempt = || probe(target, &part.destination, &self.options, &self.attempts);
        let verdict = catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| {
            Verdict::failed(&Failure::local_resource(target, io::Error::other("internal error")))
        });
        self.log(part.target, Some(&part.destination.destination), &verdict);
        tracing::debug!(%target, status = %verdict.status, took = ?verdict.elapsed, "verdict");
        let mut state = self.lock();
        state.schedule.finished(part, verdict, Instant::now());
        self.announce_result();
        state
    }

    /// Logs the verdict on an address, or on a name, under `-v`.
    fn log(&self, target: usize, destination: Option<&ProbeAddress>, verdict: &Verdict) {
        self.attempts.report.step(|| {
            let line = verdict.report(&self.options.targets[target]).line();
            let target = self.options.targets[target].to_string();
            match destination {
                Some(ProbeAddress::Resolved(address))
                    if !target.ends_with(&address.to_string()) =>
                {
                    format!("{address}: {line}")
                }
                _ => line,
            }
        });
    }

    fn announce_result(&self) {
        if self.is_waiting.swap(false, Ordering::SeqCst) {
            shutdown::wake(&self.pipe.tx);
        }
    }
}

/// The number of sockets that this process may have at the same time (getrlimit(2)).
fn max_sockets() -> usize {
    use rustix::process::{Resource, getrlimit};
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(descriptors.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX)
}
