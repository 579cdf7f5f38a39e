//! Runs a check: worker threads make the attempts, the calling thread hands over the results.

use std::io;
use std::io::Error;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::hosts::{HostCache, Lifetime, LookupLimits};
use super::options::{CheckOptions, Repeat, Until};
use super::probe::{Destination, probe};
use super::schedule::{Addresses, Goal, Next, Part, Schedule};
use super::target::{Protocol, Target};
use super::verdict::Verdict;
use crate::error::{ExitCode, Failure, Phase};
use crate::net::proxy::Route;
use crate::report::context::Context;
use crate::shutdown;
use crate::shutdown::{Shutdown, ShutdownReason, WaitOutcome};

/// Stack of a worker, in bytes: most of it is for a TLS handshake without optimisation.
const STACK_SIZE: usize = 512 << 10;
/// Descriptors of this process that are not sockets of attempts.
const OTHER_DESCRIPTORS: u64 = 24;
/// Targets that the error of a wait names.
const MAX_NAMED: usize = 4;

/// The result of one target.
#[derive(Debug)]
pub struct CheckResult<'a> {
    /// The target.
    pub target: &'a Target,
    /// The verdict of all its attempts.
    pub verdict: Verdict,
}

/// Receives results in the order of the targets, those that are known at a time together.
pub type OnResults<'a> = &'a mut dyn FnMut(&[CheckResult<'_>]) -> Result<(), Failure>;

/// Checks all targets. The exit code is 0 when enough of them have the wanted state, else that of
/// the first which has not.
///
/// Fails with 28 when the time limit of a wait passes, with 130 or 143 at a signal, with 1 if no
/// thread can be created, and as `on_results` does.
pub fn run(
    context: &Context,
    options: CheckOptions,
    on_results: OnResults<'_>,
) -> Result<ExitCode, Failure> {
    let (wake_rx, wake_tx) = shutdown::wake_pipe().map_err(no_resource)?;
    let run = Arc::new(Run::new(context, options, wake_tx)?);
    run.spawn_worker(&mut run.lock()).map_err(no_resource)?;
    let outcome = run.report_all(context, &wake_rx, on_results);
    // Ends the attempts that have become irrelevant.
    run.attempts.shutdown.trigger(ShutdownReason::Deadline);
    outcome
}

fn no_resource(error: Error) -> Failure {
    Failure::local_resource("check", error)
}

/// What workers and the calling thread share.
struct Run {
    options: CheckOptions,
    state: Mutex<State>,
    /// Notified when the sleeper is to look at the schedule again.
    changed: Condvar,
    hosts: HostCache,
    /// Its token ends at the limit of the wait.
    attempts: Context,
    max_workers: usize,
    wake_tx: OwnedFd,
    is_waiting: AtomicBool,
}

struct State {
    schedule: Schedule<Connection>,
    workers: usize,
    /// Until when the one worker sleeps that has no work; the others exit.
    sleeps_until: Option<Instant>,
}

/// Where a worker connects to, and its time limit.
#[derive(Debug, Clone)]
struct Connection {
    destination: Destination,
    limit: Option<Duration>,
}

type Guard<'a> = MutexGuard<'a, State>;

/// What the calling thread has to do next.
struct Ready<'a> {
    results: Vec<CheckResult<'a>>,
    is_over: bool,
    next_check: Option<Instant>,
}

impl Run {
    fn new(context: &Context, options: CheckOptions, wake_tx: OwnedFd) -> Result<Run, Failure> {
        let schedule =
            Schedule::new(options.targets.len(), goal(&options, context), Instant::now());
        let shutdown = Shutdown::new(schedule.deadline()).map_err(no_resource)?;
        let max_workers = options.max_jobs.min(max_sockets()).max(1);
        let is_wait = matches!(options.repeat, Repeat::Wait { .. });
        let limits = LookupLimits {
            timeout: options.timeout,
            max_lookups: max_workers,
            lifetime: if is_wait { Lifetime::Limited } else { Lifetime::Run },
        };
        Ok(Run {
            hosts: HostCache::new(options.family, limits),
            state: Mutex::new(State { schedule, workers: 0, sleeps_until: None }),
            changed: Condvar::new(),
            attempts: Context { report: context.report.clone(), shutdown },
            max_workers,
            wake_tx,
            is_waiting: AtomicBool::new(false),
            options,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report_all(
        &self,
        context: &Context,
        wake_rx: &OwnedFd,
        on_results: OnResults<'_>,
    ) -> Result<ExitCode, Failure> {
        loop {
            // Set before the results are taken, so that one in between writes to the pipe.
            self.is_waiting.store(true, Ordering::SeqCst);
            let ready = self.take_results();
            if !ready.results.is_empty() {
                on_results(&ready.results)?;
            }
            if ready.is_over {
                return self.outcome();
            }
            let mut fds = [PollFd::new(wake_rx, PollFlags::IN)];
            match context.shutdown.wait_any(&mut fds, ready.next_check).map_err(no_resource)? {
                WaitOutcome::Shutdown(reason) => {
                    return Err(Failure::shutdown(Phase::Connect, "-", reason));
                }
                WaitOutcome::Ready(_) => shutdown::drain(wake_rx),
                WaitOutcome::TimedOut => {}
            }
        }
    }

    fn take_results(&self) -> Ready<'_> {
        let now = Instant::now();
        let schedule = &mut self.lock().schedule;
        let is_over = schedule.is_over(now);
        let mut results = Vec::new();
        let mut push = |(target, verdict): (usize, Verdict)| {
            results.push(CheckResult { target: &self.options.targets[target], verdict });
        };
        std::iter::from_fn(|| schedule.take_decided()).for_each(&mut push);
        if is_over {
            std::iter::from_fn(|| schedule.take_rest()).for_each(&mut push);
        }
        Ready { results, is_over, next_check: schedule.next_check(now) }
    }

    /// The exit code of the run, or the failure of a wait.
    fn outcome(&self) -> Result<ExitCode, Failure> {
        let schedule = &self.lock().schedule;
        let mut missing = schedule.missing();
        let first = missing.next().filter(|_| !schedule.is_met());
        match (first, self.options.repeat) {
            (None, _) => Ok(ExitCode::Done),
            (Some((target, verdict)), Repeat::Wait { limit: Some(limit), .. }) => {
                let others: Vec<_> = missing.collect();
                let cause = self.cause(&verdict, limit, &others);
                let target = &self.options.targets[target];
                Err(Failure::new(verdict.phase, target, cause).with_code(ExitCode::Timeout))
            }
            (Some((_, verdict)), _) => Ok(verdict.exit_code()),
        }
    }

    /// The cause of a failed wait: `not open after 15s: Connection refused; also missing: …`.
    fn cause(&self, first: &Verdict, limit: Duration, others: &[(usize, Verdict)]) -> String {
        let wanted = match self.options.until {
            Until::Open => "open",
            Until::Closed => "closed",
        };
        let limit = humantime::format_duration(limit);
        let mut cause = format!("not {wanted} after {limit}: {}", first.reason());
        for (n, (target, verdict)) in others.iter().take(MAX_NAMED - 1).enumerate() {
            let separator = if n == 0 { "; also " } else { ", " };
            let target = &self.options.targets[*target];
            cause += &format!("{separator}{target}: {}", verdict.reason_with_phase());
        }
        match others.len().saturating_sub(MAX_NAMED - 1) {
            0 => cause,
            more => format!("{cause} and {more} more"),
        }
    }

    /// Starts a worker; fails if there are no more threads.
    fn spawn_worker(self: &Arc<Run>, state: &mut State) -> io::Result<()> {
        let run = self.clone();
        let thread = thread::Builder::new().name("check".into()).stack_size(STACK_SIZE);
        thread.spawn(move || run.work())?;
        state.workers += 1;
        Ok(())
    }

    /// Starts one more worker if there is work for it. If none can be created, the others do it.
    fn grow(self: &Arc<Run>, state: &mut State) {
        if state.schedule.has_work() && state.workers < self.max_workers {
            let _ = self.spawn_worker(state);
        }
    }

    /// Does what the schedule says until there is nothing to do.
    fn work(self: Arc<Run>) {
        let mut state = self.lock();
        loop {
            let next = state.schedule.next(Instant::now());
            self.grow(&mut state);
            state = match (next, state.sleeps_until) {
                (Next::Attempt(target), _) => self.attempt(target, state),
                (Next::Connect(part), _) => self.connect(&part, state),
                (Next::Wait(Some(until)), None) => self.sleep(until, state),
                (Next::Wait(until), sleeps_until) => {
                    if until < sleeps_until {
                        self.changed.notify_one();
                    }
                    break;
                }
                (Next::Over, _) => break,
            };
        }
        state.workers -= 1;
    }

    fn sleep<'a>(&'a self, until: Instant, mut state: Guard<'a>) -> Guard<'a> {
        state.sleeps_until = Some(until);
        let left = until.saturating_duration_since(Instant::now());
        let slept = self.changed.wait_timeout(state, left);
        let mut state = slept.unwrap_or_else(PoisonError::into_inner).0;
        state.sleeps_until = None;
        state
    }

    /// Resolves the name of a target and connects to its first address.
    fn attempt<'a>(self: &'a Arc<Run>, target: usize, state: Guard<'a>) -> Guard<'a> {
        drop(state);
        let began = Instant::now();
        let resolved = self.destinations(&self.options.targets[target]);
        let mut state = self.lock();
        match resolved {
            Ok(destinations) => {
                let limit = self.limit(destinations.len(), began.elapsed());
                let connection = |destination| Connection { destination, limit };
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
                self.wake_caller();
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

    fn destinations(&self, target: &Target) -> Result<Vec<Destination>, Arc<Failure>> {
        let Target::Port { protocol, host, port } = target else {
            return Ok(vec![Destination::Target]);
        };
        let options = self.options.hosts.get(host);
        if let Some(Route::Through(proxy)) = options.map(|options| &options.route)
            && proxy.resolves()
            && *protocol == Protocol::Tcp
        {
            return Ok(vec![Destination::Target]);
        }
        let found = self.hosts.addresses(host, self.attempts.shutdown.deadline())?;
        let with_port = |address: &SocketAddr| {
            let mut address = *address;
            address.set_port(*port);
            Destination::Address(address)
        };
        Ok(found.iter().map(with_port).collect())
    }

    fn connect<'a>(&'a self, part: &Part<Connection>, state: Guard<'a>) -> Guard<'a> {
        drop(state);
        let Connection { destination, limit } = &part.destination;
        let target = &self.options.targets[part.target];
        let attempt = || probe(target, destination, &self.options, *limit, &self.attempts);
        let verdict = catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| {
            Verdict::failed(&Failure::local_resource(target, Error::other("internal error")))
        });
        self.log(part.target, Some(destination), &verdict);
        let mut state = self.lock();
        state.schedule.finished(part, verdict, Instant::now());
        self.wake_caller();
        state
    }

    /// Logs the verdict on an address, or on a name, under `-v`.
    fn log(&self, target: usize, destination: Option<&Destination>, verdict: &Verdict) {
        self.attempts.report.step(|| {
            let line = verdict.report(&self.options.targets[target]).line();
            match destination {
                Some(Destination::Address(address)) => format!("{address}: {line}"),
                _ => line,
            }
        });
    }

    fn wake_caller(&self) {
        if self.is_waiting.swap(false, Ordering::SeqCst) {
            shutdown::wake(&self.wake_tx);
        }
    }
}

fn goal(options: &CheckOptions, context: &Context) -> Goal {
    Goal {
        repeat: options.repeat,
        until: options.until,
        quorum: options.quorum,
        addresses: if context.report.is_verbose() { Addresses::All } else { Addresses::FirstOpen },
    }
}

/// The number of sockets that this process may have at the same time (getrlimit(2)).
fn max_sockets() -> usize {
    use rustix::process::{Resource, getrlimit};
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(descriptors.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX)
}
