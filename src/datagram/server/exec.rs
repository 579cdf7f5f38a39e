//! `exec` for datagrams: a program for each, so many at a time, and nobody waits for any of them.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::datagram::{DatagramGroup, MAX_UDP_PAYLOAD, RecvMeta, Sender, Transmit};
use crate::error::message_without_errno;
use crate::net::address::Address;
use crate::process::child::Program;
use crate::report::Report;
use crate::service::exec::OneShot;
use crate::shutdown::{Shutdown, ShutdownReason};

/// Programs that run at once; a datagram that comes meanwhile is not answered.
const MOST: u32 = 64;
/// How long one may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the run waits for all of them where nobody is in a hurry: one that has answered may go
/// on for as long again, and be slow to end.
const LAST: Duration = Duration::from_secs(22);
/// How often it is looked whether somebody is in a hurry after all.
const LOOK: Duration = Duration::from_millis(20);
/// The stack of a thread that only waits for a program.
const STACK: usize = 128 << 10;

/// Answers datagrams by a program.
pub struct ExecPool {
    desk: Arc<PoolInner>,
    outlet: Option<(Sender, Report)>,
}

/// What all running programs share.
struct PoolInner {
    answerer: OneShot,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: u32,
    sums: ExecStats,
    /// What has been told: the totals tell how often it happened.
    warned: Vec<ExecError>,
    /// Nobody waits any more; what comes of the programs now is not sent.
    closed: bool,
}

/// The kinds of trouble with programs, each told once in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExecError {
    Crowd,
    Start,
    Late,
    Long,
}

impl ExecError {
    /// What an error of the [`Answerer`] is about, in words for everybody.
    fn read(error: &io::Error) -> (ExecError, String) {
        let (trouble, why) = match error.kind() {
            ErrorKind::TimedOut => {
                (ExecError::Late, format!("its program took more than {} s", LIMIT.as_secs()))
            }
            ErrorKind::InvalidData => (ExecError::Long, message_without_errno(error)),
            _ => (ExecError::Start, format!("no program: {}", message_without_errno(error))),
        };
        (trouble, format!("a datagram is not answered: {why}"))
    }
}

/// What became of the datagrams.
#[derive(Debug, Default, Clone, Copy)]
pub struct ExecStats {
    /// Answers that were sent.
    pub sent: u32,
    /// Their bytes together.
    pub bytes: usize,
    /// Answers that could not be sent.
    pub unsent: u32,
    /// Datagrams that came while too many programs ran.
    pub busy: u32,
    /// Datagrams whose program could not be started, took too long, said too much, or was cut.
    pub failed: u32,
}

/// How the programs ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExecShutdown {
    /// What became of all datagrams.
    pub sums: ExecStats,
    /// How many programs still ran and were ended; they are among those that failed.
    pub cut: u32,
    /// What put an end to a wait that was to be for all of them.
    pub hurried: Option<ShutdownReason>,
}

/// One datagram to be answered.
struct ExecJob {
    envelope: RecvMeta,
    local: Address,
    question: Vec<u8>,
}

impl fmt::Debug for ExecPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Programs").field("answerer", &self.desk.answerer).finish_non_exhaustive()
    }
}

impl ExecPool {
    /// Answers by `program`.
    pub fn new(program: Program) -> ExecPool {
        let answerer = OneShot::new(program, LIMIT);
        let (state, changed) = (Mutex::default(), Condvar::new());
        ExecPool { desk: Arc::new(PoolInner { answerer, state, changed }), outlet: None }
    }

    /// Answers go through `sender`.
    pub fn open(&mut self, sender: Sender, report: &Report) {
        self.outlet = Some((sender, report.clone()));
    }

    /// Starts a program for each datagram of the bundle, as far as there is room.
    pub fn start(&self, bundle: &DatagramGroup<'_>, local: &Address) {
        let Some((sender, report)) = &self.outlet else { return };
        for payload in bundle.datagrams() {
            if !self.desk.try_acquire(report) {
                continue;
            }
            let (envelope, local) = (bundle.envelope.clone(), local.clone());
            let job = ExecJob { envelope, local, question: payload.to_vec() };
            let (desk, sender, told) = (self.desk.clone(), sender.clone(), report.clone());
            let run = move || desk.serve(&job, &sender, &told);
            if let Err(e) = thread::Builder::new().stack_size(STACK).spawn(run) {
                self.desk.fail(&e, report);
            }
        }
    }

    /// Waits for the programs that run and ends the rest: for `grace` where the run was stopped,
    /// and else for as long as they may take, or `grace` from when the cord is pulled.
    pub fn close(&self, grace: Duration, stop: &Shutdown) -> ExecShutdown {
        let mut hurried = None;
        if stop.reason().is_none() {
            self.wait(LAST, || {
                hurried = stop.reason();
                hurried.is_some()
            });
        }
        if stop.reason().is_some() {
            self.wait(grace, || false);
        }
        let mut state = self.desk.lock();
        state.closed = true;
        let cut = std::mem::take(&mut state.running);
        state.sums.failed += cut;
        self.desk.answerer.close();
        ExecShutdown { sums: state.sums, cut, hurried }
    }

    /// Waits until none runs, `time` has passed or somebody is in a `hurry`.
    fn wait(&self, time: Duration, mut hurry: impl FnMut() -> bool) {
        let until = Instant::now() + time;
        let mut state = self.desk.lock();
        while state.running > 0 && !hurry() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.desk.changed.wait_timeout(state, left.min(LOOK));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl PoolInner {
    fn serve(&self, job: &ExecJob, sender: &Sender, report: &Report) {
        let peer = job.envelope.address();
        let answer = match self.answerer.run(&job.local, &peer, &job.question, MAX_UDP_PAYLOAD) {
            Ok(answer) => answer,
            Err(e) => {
                report.step(|| format!("Answering {peer} failed: {}", message_without_errno(&e)));
                return self.fail(&e, report);
            }
        };
        // Nothing said is no answer, and what one says that was ended is none either.
        if answer.is_empty() || self.lock().closed {
            return self.release(|_| {});
        }
        let (bytes, mut unsent) = (answer.len(), 0);
        sender.send(&[Transmit::answer(&job.envelope, answer)], &mut |_, e| {
            unsent = 1;
            report.step(|| format!("Answering {peer} failed: {}", message_without_errno(e)));
        });
        self.release(|sums| match unsent {
            0 => (sums.sent, sums.bytes) = (sums.sent + 1, sums.bytes + bytes),
            _ => sums.unsent += 1,
        });
    }

    fn try_acquire(&self, report: &Report) -> bool {
        let mut state = self.lock();
        if state.running < MOST {
            state.running += 1;
            return true;
        }
        state.sums.busy += 1;
        drop(state);
        let why = format!("{MOST} programs run at once; datagrams beyond that are not answered");
        self.log_warning(ExecError::Crowd, &why, report);
        false
    }

    /// One leaves its place without an answer.
    fn fail(&self, error: &io::Error, report: &Report) {
        if !self.lock().closed {
            let (trouble, why) = ExecError::read(error);
            self.log_warning(trouble, &why, report);
        }
        self.release(|sums| sums.failed += 1);
    }

    fn log_warning(&self, trouble: ExecError, why: &str, report: &Report) {
        let mut state = self.lock();
        if !state.warned.contains(&trouble) {
            state.warned.push(trouble);
            drop(state);
            report.warn(None, why);
        }
    }

    fn release(&self, count: impl FnOnce(&mut ExecStats)) {
        let mut state = self.lock();
        if !state.closed {
            state.running -= 1;
            count(&mut state.sums);
        }
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
