//! The worker threads of a check, each of which makes one attempt at a time.
//!
//! A worker with nothing to do exits, and one with work for another starts it, so that there are as
//! many as there are attempts, at most `max_jobs`. The last one sleeps until an attempt is due.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::options::CheckOptions;
use super::probe::PendingProbe;
use super::prober::Prober;
use super::schedule::{AttemptPart, NextStep, Schedule};
use crate::poll;
use crate::poll::WakePipe;
use crate::report::Report;

/// Stack of a worker, in bytes: most of it is for a TLS handshake without optimisation.
const STACK_SIZE: usize = 512 << 10;

/// What workers and the calling thread share.
pub struct Workers {
    /// Makes the attempts.
    pub prober: Prober,
    state: Mutex<WorkerState>,
    /// Notified when the sleeper is to look at the schedule again.
    changed: Condvar,
    /// Announces results. Its first end stays open as long as the workers run: a write without a reader
    /// would raise SIGPIPE in the program that replaces this process.
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
        Ok(Workers {
            prober: Prober::new(options, report, schedule.deadline)?,
            state: Mutex::new(WorkerState { schedule, workers: 0, sleeps_until: None }),
            changed: Condvar::new(),
            pipe: poll::WakePipe::new()?,
            is_waiting: AtomicBool::new(false),
        })
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
        } else if state.workers < self.prober.max_concurrent {
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
        let resolved = self.prober.resolve(target);
        let mut state = self.lock();
        match resolved {
            Ok(probes) => {
                let first = state.schedule.resolved(target, probes);
                self.grow(&mut state);
                match first {
                    Some(part) => self.connect(&part, state),
                    None => state,
                }
            }
            Err(verdict) => {
                state.schedule.attempted(target, *verdict, Instant::now());
                self.announce_result();
                state
            }
        }
    }

    fn connect<'a>(&'a self, part: &AttemptPart<PendingProbe>, state: Guard<'a>) -> Guard<'a> {
        drop(state);
        let verdict = self.prober.connect(part.target, &part.destination);
        let mut state = self.lock();
        state.schedule.finished(part, verdict, Instant::now());
        self.announce_result();
        state
    }

    fn announce_result(&self) {
        if self.is_waiting.swap(false, Ordering::SeqCst) {
            poll::wake(&self.pipe.tx);
        }
    }
}
