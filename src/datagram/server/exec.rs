//! The service `exec` for datagrams: a program for each, concurrently, up to a limit.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::incoming::Incoming;
use crate::datagram::{DatagramSocket, MAX_UDP_PAYLOAD, RecvMeta, Transmit};
use crate::error::message_without_errno;
use crate::net::address::Address;
use crate::process::program::Program;
use crate::report::Report;
use crate::report::event::datagram::Dropped;
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
    program: OneShot,
    socket: Arc<DatagramSocket>,
    report: Report,
    state: Mutex<PoolState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct PoolState {
    running: u32,
    dropped: Dropped,
    /// The kinds of errors already printed.
    warned: Vec<ErrorKind>,
    /// Shutdown is complete: late answers are not sent.
    closed: bool,
}

/// How the pool shut down.
#[derive(Debug, Clone, Default)]
pub struct ExecShutdown {
    /// What was dropped as unsent, busy or failed.
    pub dropped: Dropped,
    /// Programs that were killed; they are counted as failed.
    pub killed: u32,
    /// The shutdown that ended the wait for all programs.
    pub interrupted_by: Option<ShutdownReason>,
}

impl ExecPool {
    /// A pool that runs `program` for each datagram and sends its output with `socket`.
    pub fn new(program: Program, socket: Arc<DatagramSocket>, report: &Report) -> Arc<ExecPool> {
        let limits = RunLimits { timeout: ANSWER_TIMEOUT, max_output: MAX_UDP_PAYLOAD };
        Arc::new(ExecPool {
            program: OneShot::new(program, limits),
            socket,
            report: report.clone(),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Starts a program for each datagram, up to the limit.
    pub fn start(self: &Arc<ExecPool>, incoming: &Incoming<'_>) {
        for payload in incoming.group.datagrams() {
            if !self.try_acquire() {
                continue;
            }
            let (pool, meta) = (self.clone(), incoming.group.meta.clone());
            let payload = payload.to_vec();
            let run = move || pool.run(&meta, &payload);
            if let Err(e) = thread::Builder::new().stack_size(STACK_SIZE).spawn(run) {
                self.fail(&e);
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
        let mut state = self.lock();
        state.closed = true;
        let killed = std::mem::take(&mut state.running);
        state.dropped.failed += u64::from(killed);
        self.program.close();
        ExecShutdown { dropped: state.dropped, killed, interrupted_by }
    }

    /// Waits until no program runs, `timeout` has passed or `interrupted` returns a reason, which
    /// is returned.
    fn wait(
        &self,
        timeout: Duration,
        interrupted: impl Fn() -> Option<ShutdownReason>,
    ) -> Option<ShutdownReason> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        while state.running > 0 && Instant::now() < deadline {
            if let Some(reason) = interrupted() {
                return Some(reason);
            }
            let waited = self.changed.wait_timeout(state, POLL_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    /// Runs the program for one datagram and sends its output. No output is no reply, and neither
    /// is the output of a killed program.
    fn run(&self, meta: &RecvMeta, payload: &[u8]) {
        let (local, peer) = (meta.local_address(&self.socket.local), Address::from(&meta.peer));
        let log = |e: &io::Error| {
            let why = || message_without_errno(e);
            self.report.step(|| format!("Answering {peer} failed: {}", why()));
        };
        let reply = match self.program.run(&local, &peer, payload) {
            Ok(reply) => Transmit::reply(meta, reply),
            Err(e) => {
                log(&e);
                return self.fail(&e);
            }
        };
        if reply.contents.is_empty() || self.lock().closed {
            return self.release(|_| ());
        }
        let mut unsent = 0;
        self.socket.send(&[reply], &mut |_, e| {
            unsent += 1;
            log(e);
        });
        self.release(|dropped| dropped.unsent += unsent);
    }

    /// Counts one more running program, unless the pool is full.
    fn try_acquire(&self) -> bool {
        let mut state = self.lock();
        if state.running < MAX_PROGRAMS {
            state.running += 1;
            return true;
        }
        state.dropped.busy += 1;
        drop(state);
        let why = format!("{MAX_PROGRAMS} programs are running; more datagrams are not answered");
        self.warn_once(ErrorKind::WouldBlock, why);
        false
    }

    fn fail(&self, error: &io::Error) {
        if !self.lock().closed {
            let cause = message_without_errno(error);
            let (kind, why) = match error.kind() {
                kind @ ErrorKind::TimedOut => {
                    (kind, format!("its program took more than {} s", ANSWER_TIMEOUT.as_secs()))
                }
                kind @ ErrorKind::InvalidData => (kind, cause),
                _ => (ErrorKind::Other, format!("its program cannot be started: {cause}")),
            };
            self.warn_once(kind, format!("a datagram is not answered: {why}"));
        }
        self.release(|dropped| dropped.failed += 1);
    }

    /// Prints a warning unless one of this kind was printed in this run.
    fn warn_once(&self, kind: ErrorKind, why: String) {
        let mut state = self.lock();
        if !state.warned.contains(&kind) {
            state.warned.push(kind);
            drop(state);
            self.report.warn(None, why);
        }
    }

    /// Counts one program less, and by `count` what became of its datagram.
    fn release(&self, count: impl FnOnce(&mut Dropped)) {
        let mut state = self.lock();
        if !state.closed {
            state.running -= 1;
            count(&mut state.dropped);
        }
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
