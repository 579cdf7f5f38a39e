//! The service `exec` for datagrams: a program for each, concurrently, up to a limit.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::incoming::Incoming;
use crate::datagram::{DatagramSender, MAX_UDP_PAYLOAD, RecvMeta, Transmit};
use crate::error::message_without_errno;
use crate::net::address::Address;
use crate::process::program::Program;
use crate::report::Report;
use crate::service::exec::{OneShot, RunLimits};
use crate::shutdown::{Shutdown, ShutdownReason};

/// The most programs that run concurrently; a datagram beyond that is not answered.
const MAX_PROGRAMS: u32 = 64;
/// How long a program may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of the run waits for all of them: a program that has answered may run for as
/// long again, and be slow to exit.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(22);
/// How often the wait for programs checks for shutdown.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Stack size of a thread that only waits for a program.
const STACK_SIZE: usize = 128 << 10;

/// Answers datagrams with the output of a program.
pub struct ExecPool {
    inner: Arc<PoolInner>,
    output: Option<(Arc<DatagramSender>, Report)>,
}

/// What the threads of the pool share.
struct PoolInner {
    program: OneShot,
    state: Mutex<PoolState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct PoolState {
    running: u32,
    stats: ExecStats,
    /// The kinds of errors already printed.
    warned: Vec<ExecError>,
    /// Shutdown is complete: late answers are not sent.
    closed: bool,
}

/// Why a datagram is not answered. Each kind is printed once per run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExecError {
    PoolFull,
    Start,
    TimedOut,
    TooLong,
}

impl ExecError {
    /// The kind of an error of [`OneShot::run`].
    fn of(error: &io::Error) -> ExecError {
        match error.kind() {
            ErrorKind::TimedOut => ExecError::TimedOut,
            ErrorKind::InvalidData => ExecError::TooLong,
            _ => ExecError::Start,
        }
    }

    /// The warning about the first error of this kind.
    fn warning(self, error: &io::Error) -> String {
        let cause = message_without_errno(error);
        let why = match self {
            ExecError::TimedOut => {
                format!("its program took more than {} s", ANSWER_TIMEOUT.as_secs())
            }
            ExecError::Start => format!("its program cannot be started: {cause}"),
            ExecError::TooLong | ExecError::PoolFull => cause,
        };
        format!("a datagram is not answered: {why}")
    }
}

/// What became of one datagram whose program was started.
///
/// | its program | its output | outcome |
/// |---|---|---|
/// | did not start, took too long, wrote too much | | `Failed` |
/// | ended | none, or the pool is closed | `NoReply` |
/// | ended | sent | `Sent` |
/// | ended | could not be sent | `Unsent` |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExecOutcome {
    /// So many bytes.
    Sent(usize),
    Unsent,
    NoReply,
    Failed,
}

/// The counters of the pool.
#[derive(Debug, Default, Clone, Copy)]
pub struct ExecStats {
    /// Replies that were sent.
    pub sent: u32,
    /// Their bytes.
    pub bytes: usize,
    /// Replies that could not be sent.
    pub unsent: u32,
    /// Datagrams that arrived while the pool was full.
    pub busy: u32,
    /// Datagrams whose program did not start, took too long, wrote too much, or was killed.
    pub failed: u32,
}

impl ExecStats {
    fn count(&mut self, outcome: ExecOutcome) {
        match outcome {
            ExecOutcome::Sent(bytes) => {
                (self.sent, self.bytes) = (self.sent + 1, self.bytes + bytes);
            }
            ExecOutcome::Unsent => self.unsent += 1,
            ExecOutcome::NoReply => {}
            ExecOutcome::Failed => self.failed += 1,
        }
    }
}

/// How the pool shut down.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExecShutdown {
    /// The counters of the run.
    pub stats: ExecStats,
    /// Programs that were killed; they are counted as failed.
    pub killed: u32,
    /// The shutdown that ended the wait for all programs.
    pub interrupted_by: Option<ShutdownReason>,
}

/// One datagram to be answered.
struct ExecJob {
    meta: RecvMeta,
    local: Address,
    peer: Address,
    payload: Vec<u8>,
}

impl fmt::Debug for ExecPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecPool").field("program", &self.inner.program).finish_non_exhaustive()
    }
}

impl ExecPool {
    /// A pool that runs `program` for each datagram.
    pub fn new(program: Program) -> ExecPool {
        let limits = RunLimits { timeout: ANSWER_TIMEOUT, max_output: MAX_UDP_PAYLOAD };
        let program = OneShot::new(program, limits);
        let (state, changed) = (Mutex::default(), Condvar::new());
        ExecPool { inner: Arc::new(PoolInner { program, state, changed }), output: None }
    }

    /// Sets the socket that replies are sent with.
    pub fn open(&mut self, sender: Arc<DatagramSender>, report: &Report) {
        self.output = Some((sender, report.clone()));
    }

    /// Starts a program for each datagram, up to the limit.
    pub fn start(&self, incoming: &Incoming<'_>) {
        let Some((sender, report)) = &self.output else { return };
        for payload in incoming.group.datagrams() {
            if !self.inner.try_acquire(report) {
                continue;
            }
            let (local, peer) = (incoming.local.clone(), incoming.peer.clone());
            let meta = incoming.group.meta.clone();
            let job = ExecJob { meta, local, peer, payload: payload.to_vec() };
            let (inner, sender, log) = (self.inner.clone(), sender.clone(), report.clone());
            let run = move || inner.run(&job, &sender, &log);
            if let Err(e) = thread::Builder::new().stack_size(STACK_SIZE).spawn(run) {
                self.inner.fail(&e, report);
            }
        }
    }

    /// Waits for running programs and kills the others: `grace` after shutdown, otherwise after
    /// as long as they may take.
    pub fn close(&self, grace: Duration, shutdown: &Shutdown) -> ExecShutdown {
        let mut interrupted_by = None;
        if shutdown.reason().is_none() {
            self.wait(DRAIN_TIMEOUT, || {
                interrupted_by = shutdown.reason();
                interrupted_by.is_some()
            });
        }
        if shutdown.reason().is_some() {
            self.wait(grace, || false);
        }
        let mut state = self.inner.lock();
        state.closed = true;
        let killed = std::mem::take(&mut state.running);
        state.stats.failed += killed;
        self.inner.program.close();
        ExecShutdown { stats: state.stats, killed, interrupted_by }
    }

    /// Waits until no program runs, `timeout` has passed or `interrupted` returns true.
    fn wait(&self, timeout: Duration, mut interrupted: impl FnMut() -> bool) {
        let deadline = Instant::now() + timeout;
        let mut state = self.inner.lock();
        while state.running > 0 && !interrupted() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.inner.changed.wait_timeout(state, left.min(POLL_INTERVAL));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl PoolInner {
    /// Runs the program for one datagram and sends its output.
    fn run(&self, job: &ExecJob, sender: &DatagramSender, report: &Report) {
        let log = |e: &io::Error| {
            report.step(|| format!("Answering {} failed: {}", job.peer, message_without_errno(e)));
        };
        let outcome = match self.program.run(&job.local, &job.peer, &job.payload) {
            // No output is no reply, and neither is the output of a killed program.
            Ok(reply) if reply.is_empty() || self.lock().closed => ExecOutcome::NoReply,
            Ok(reply) => {
                let mut outcome = ExecOutcome::Sent(reply.len());
                sender.send(&[Transmit::reply(&job.meta, reply)], &mut |_, e| {
                    outcome = ExecOutcome::Unsent;
                    log(e);
                });
                outcome
            }
            Err(e) => {
                log(&e);
                return self.fail(&e, report);
            }
        };
        self.release(outcome);
    }

    /// Counts one more running program, unless the pool is full.
    fn try_acquire(&self, report: &Report) -> bool {
        let mut state = self.lock();
        if state.running < MAX_PROGRAMS {
            state.running += 1;
            return true;
        }
        state.stats.busy += 1;
        drop(state);
        let why = format!("{MAX_PROGRAMS} programs are running; more datagrams are not answered");
        self.warn_once(ExecError::PoolFull, &why, report);
        false
    }

    fn fail(&self, error: &io::Error, report: &Report) {
        if !self.lock().closed {
            let kind = ExecError::of(error);
            self.warn_once(kind, &kind.warning(error), report);
        }
        self.release(ExecOutcome::Failed);
    }

    fn warn_once(&self, kind: ExecError, why: &str, report: &Report) {
        let mut state = self.lock();
        if !state.warned.contains(&kind) {
            state.warned.push(kind);
            drop(state);
            report.warn(None, why);
        }
    }

    /// Counts one program less, and its outcome.
    fn release(&self, outcome: ExecOutcome) {
        let mut state = self.lock();
        if !state.closed {
            state.running -= 1;
            state.stats.count(outcome);
        }
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_counter() {
        use ExecOutcome::{Failed, NoReply, Sent, Unsent};
        let mut stats = ExecStats::default();
        [Sent(3), Sent(4), Unsent, NoReply, Failed].into_iter().for_each(|one| stats.count(one));
        let ExecStats { sent, bytes, unsent, failed, busy } = stats;
        assert_eq!((sent, bytes, unsent, failed, busy), (2, 7, 1, 1, 0));
    }

    #[test]
    fn error_of_a_program_has_its_kind_and_warning() {
        for (error, kind, why) in [
            (ErrorKind::TimedOut.into(), ExecError::TimedOut, "more than 10 s"),
            (io::Error::new(ErrorKind::InvalidData, "too long"), ExecError::TooLong, "too long"),
            (io::Error::from_raw_os_error(libc::ENOENT), ExecError::Start, "cannot be started"),
        ] {
            assert_eq!(ExecError::of(&error), kind);
            assert!(kind.warning(&error).contains(why));
        }
    }
}
