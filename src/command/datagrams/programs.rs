//! `exec` for datagrams: a program for each, so many at a time, and nobody waits for any of them.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::failure::words;
use crate::net::address::Address;
use crate::net::child::Program;
use crate::net::datagram::{Bundle, Envelope, LONGEST, Outgoing, Sender};
use crate::report::Report;
use crate::service::exec::Answerer;

/// Programs that run at once; a datagram that comes meanwhile is not answered.
const MOST: u32 = 64;
/// How long one may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The stack of a thread that only waits for a program.
const STACK: usize = 128 << 10;

/// Answers datagrams by a program.
pub struct Programs {
    desk: Arc<Desk>,
    outlet: Option<(Sender, Report)>,
}

/// What all running programs share.
struct Desk {
    answerer: Answerer,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: u32,
    sums: Sums,
    crowd_told: bool,
}

/// What became of the datagrams.
#[derive(Debug, Default, Clone, Copy)]
pub struct Sums {
    /// Answers that were sent.
    pub sent: u32,
    /// Their bytes together.
    pub bytes: usize,
    /// Answers that could not be sent.
    pub unsent: u32,
    /// Datagrams for which no program was started.
    pub busy: u32,
}

/// One datagram to be answered.
struct Job {
    envelope: Envelope,
    local: Address,
    question: Vec<u8>,
}

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Programs").field("answerer", &self.desk.answerer).finish_non_exhaustive()
    }
}

impl Programs {
    /// Answers by `program`.
    pub fn new(program: Program) -> Programs {
        let answerer = Answerer::new(program, LIMIT);
        let (state, changed) = (Mutex::default(), Condvar::new());
        Programs { desk: Arc::new(Desk { answerer, state, changed }), outlet: None }
    }

    /// Answers go through `sender`.
    pub fn open(&mut self, sender: Sender, report: &Report) {
        self.outlet = Some((sender, report.clone()));
    }

    /// Starts a program for each datagram of the bundle, as far as there is room.
    pub fn start(&self, bundle: &Bundle<'_>, local: &Address) {
        let Some((sender, report)) = &self.outlet else { return };
        for payload in bundle.datagrams() {
            if !self.desk.take_place(report) {
                continue;
            }
            let (envelope, local) = (bundle.envelope.clone(), local.clone());
            let job = Job { envelope, local, question: payload.to_vec() };
            let (desk, sender, told) = (self.desk.clone(), sender.clone(), report.clone());
            let run = move || desk.serve(&job, &sender, &told);
            if let Err(e) = thread::Builder::new().stack_size(STACK).spawn(run) {
                self.desk.leave(|sums| sums.busy += 1);
                report.warn(None, format!("a datagram is not answered: {}", words(&e)));
            }
        }
    }

    /// Waits for the programs that run, for `grace`, and ends the rest. Returns what became of all.
    pub fn close(&self, grace: Duration) -> Sums {
        let state = self.desk.lock();
        let busy = |state: &mut State| state.running > 0;
        let waited = self.desk.changed.wait_timeout_while(state, grace, busy);
        self.desk.answerer.close();
        waited.unwrap_or_else(PoisonError::into_inner).0.sums
    }
}

impl Desk {
    fn serve(&self, job: &Job, sender: &Sender, report: &Report) {
        let peer = job.envelope.address();
        let failed = |e: &io::Error| {
            report.step(|| format!("Answering {peer} failed: {}", words(e)));
        };
        match self.answerer.answer(&job.local, &peer, &job.question, LONGEST) {
            // Nothing said is no answer.
            Ok(answer) if answer.is_empty() => self.leave(|_| {}),
            Ok(answer) => {
                let (bytes, mut unsent) = (answer.len(), 0);
                sender.send(&[Outgoing::answer(&job.envelope, answer)], &mut |_, e| {
                    unsent = 1;
                    failed(e);
                });
                self.leave(|sums| match unsent {
                    0 => (sums.sent, sums.bytes) = (sums.sent + 1, sums.bytes + bytes),
                    _ => sums.unsent += 1,
                });
            }
            Err(e) => {
                failed(&e);
                self.leave(|_| {});
            }
        }
    }

    fn take_place(&self, report: &Report) -> bool {
        let mut state = self.lock();
        if state.running < MOST {
            state.running += 1;
            return true;
        }
        state.sums.busy += 1;
        if !std::mem::replace(&mut state.crowd_told, true) {
            let why =
                format!("{MOST} programs run at once; datagrams beyond that are not answered");
            report.warn(None, why);
        }
        false
    }

    fn leave(&self, count: impl FnOnce(&mut Sums)) {
        let mut state = self.lock();
        state.running -= 1;
        count(&mut state.sums);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
