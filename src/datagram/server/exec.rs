//! The service `exec` for datagrams: a program for each, concurrently, up to a limit.

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
use crate::report::datagram_stats::Totals;
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
    counted: Totals,
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

/// How the pool shut down.
#[derive(Debug, Clone, Default)]
pub struct ExecShutdown {
    /// What was sent, and what was dropped as unsent, busy or failed.
    pub counted: Totals,
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
            interrupted_by = self.wait(DRAIN_TIMEOUT, || shutdown.reason());
        }
        if shutdown.reason().is_some() {
            self.wait(grace, || None);
        }
        let mut state = self.inner.lock();
        state.closed = true;
        let killed = std::mem::take(&mut state.running);
        state.counted.dropped.failed += u64::from(killed);
        self.inner.program.close();
        ExecShutdown { counted: state.counted.clone(), killed, interrupted_by }
    }

    /// Waits until no program runs, `timeout` has passed or `interrupted` returns a reason, which
    /// is returned.
    fn wait(
        &self,
        timeout: Duration,
        interrupted: impl Fn() -> Option<ShutdownReason>,
    ) -> Option<ShutdownReason> {
        let deadline = Instant::now() + timeout;
        let mut state = self.inner.lock();
        while state.running > 0 && Instant::now() < deadline {
            if let Some(reason) = interrupted() {
                return Some(reason);
            }
            let waited = self.inner.changed.wait_timeout(state, POLL_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }
}

impl PoolInner {
    /// Runs the program for one datagram and sends its output. No output is no reply, and neither
    /// is the output of a killed program.
    fn run(&self, job: &ExecJob, sender: &DatagramSender, report: &Report) {
        let log = |e: &io::Error| {
            report.step(|| format!("Answering {} failed: {}", job.peer, message_without_errno(e)));
        };
        let reply = match self.program.run(&job.local, &job.peer, &job.payload) {
            Ok(reply) => Transmit::reply(&job.meta, reply),
            Err(e) => {
                log(&e);
                return self.fail(&e, report);
            }
        };
        if reply.contents.is_empty() || self.lock().closed {
            return self.release(|_| ());
        }
        let (mut sent, bytes) = (true, reply.contents.len() as u64);
        sender.send(&[reply], &mut |_, e| {
            sent = false;
            log(e);
        });
        self.release(|counted| {
            if sent {
                counted.datagrams_out += 1;
                counted.bytes_out += bytes;
            } else {
                counted.dropped.unsent += 1;
            }
        });
    }

    /// Counts one more running program, unless the pool is full.
    fn try_acquire(&self, report: &Report) -> bool {
        let mut state = self.lock();
        if state.running < MAX_PROGRAMS {
            state.running += 1;
            return true;
        }
        state.counted.dropped.busy += 1;
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
        self.release(|counted| counted.dropped.failed += 1);
    }

    fn warn_once(&self, kind: ExecError, why: &str, report: &Report) {
        let mut state = self.lock();
        if !state.warned.contains(&kind) {
            state.warned.push(kind);
            drop(state);
            report.warn(None, why);
        }
    }

    /// Counts one program less, and by `count` what became of its datagram.
    fn release(&self, count: impl FnOnce(&mut Totals)) {
        let mut state = self.lock();
        if !state.closed {
            state.running -= 1;
            count(&mut state.counted);
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
