//! The workers' side of a list: questions are taken in order, each asked once.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::answer::Answer;
use crate::error::Failure;
use crate::resolver::STACK;
use crate::shutdown;

/// How many answers may wait behind one that is not there yet.
const AHEAD: usize = 4096;
/// How many distinct questions are remembered, so that one asked again costs nothing.
const REMEMBERED: usize = 16_384;

/// Where questions come from; an error ends the list.
pub type Source = Box<dyn Iterator<Item = io::Result<String>> + Send>;
/// How one is answered, until a moment.
pub type Work = Box<dyn Fn(&str, Option<Instant>) -> Answer + Send + Sync>;

/// A question on its way.
pub struct Job {
    /// The question, as it was asked.
    pub word: String,
    /// When a worker took it.
    pub begun: Instant,
    /// Its answer, once somebody brought one.
    pub answer: OnceLock<Answer>,
}

/// How much time a question has.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// Until its answer is to be there; `None` for as long as it takes.
    pub limit: Option<Duration>,
    /// What a worker that keeps to its time gets beyond it, to say what it knows.
    pub grace: Duration,
}

/// Where workers take questions and leave answers.
pub struct WorkQueue {
    source: Mutex<(Source, HashMap<String, Arc<Job>>)>,
    line: Mutex<Pending>,
    /// Told when the line gets shorter.
    pub space_available: Condvar,
    /// Whether somebody waits for the bell.
    pub waiting: AtomicBool,
    rope: OwnedFd,
    work: Work,
    /// What each question has.
    pub time: TimeLimits,
    jobs: usize,
    /// Workers in their places.
    pub hired: AtomicUsize,
    /// Workers left behind.
    pub stuck: AtomicUsize,
}

/// The questions taken so far whose answers have not been told, in their order.
#[derive(Default)]
pub struct Pending {
    /// The oldest first.
    pub tickets: VecDeque<Arc<Job>>,
    /// Whether there are no more.
    pub ended: bool,
    /// Why, if not because they ended.
    pub unreadable: Option<io::Error>,
}

impl WorkQueue {
    /// A desk with nobody at it; `rope` rings for whoever waits.
    pub fn new(
        source: Source,
        work: Work,
        jobs: usize,
        time: TimeLimits,
        rope: OwnedFd,
    ) -> WorkQueue {
        WorkQueue {
            source: Mutex::new((source, HashMap::new())),
            line: Mutex::default(),
            space_available: Condvar::new(),
            waiting: AtomicBool::new(false),
            rope,
            work,
            time,
            jobs: jobs.max(1),
            hired: AtomicUsize::new(0),
            stuck: AtomicUsize::new(0),
        }
    }

    /// The line, for one moment.
    pub fn line(&self) -> MutexGuard<'_, Pending> {
        lock(&self.line)
    }

    /// One more worker, if there is a place for it.
    pub fn spawn_worker(self: &Arc<WorkQueue>) -> io::Result<()> {
        let place = |hired| (hired < self.jobs).then_some(hired + 1);
        if self.hired.fetch_update(Ordering::SeqCst, Ordering::SeqCst, place).is_err() {
            return Ok(());
        }
        let desk = self.clone();
        let hired = thread::Builder::new().name("resolve".into()).stack_size(STACK);
        hired.spawn(move || desk.serve()).map(drop).inspect_err(|_| {
            self.hired.fetch_sub(1, Ordering::SeqCst);
        })
    }

    fn serve(self: Arc<WorkQueue>) {
        while let Some(ticket) = self.next_job() {
            // One worker is enough to go on; a second that cannot be had is no failure.
            let _ = self.spawn_worker();
            let until = self.time.limit.and_then(|limit| ticket.begun.checked_add(limit));
            let answer = self.answer(&ticket.word, until);
            let answer = answer.for_question(&ticket.word, ticket.begun.elapsed());
            let late = ticket.answer.set(answer).is_err();
            self.wake_all();
            if late && !self.rejoin() {
                return;
            }
        }
        self.hired.fetch_sub(1, Ordering::SeqCst);
    }

    /// A panic costs its own question only.
    fn answer(&self, word: &str, until: Option<Instant>) -> Answer {
        let work = std::panic::AssertUnwindSafe(|| (self.work)(word, until));
        std::panic::catch_unwind(work).unwrap_or_else(|_| {
            let why = "the resolver's thread broke down";
            Answer::failed(Failure::resolver(word, why))
        })
    }

    /// Whether there is still a place for a worker that was left behind.
    fn rejoin(&self) -> bool {
        self.stuck.fetch_sub(1, Ordering::SeqCst);
        let place = |hired| (hired < self.jobs).then_some(hired + 1);
        self.hired.fetch_update(Ordering::SeqCst, Ordering::SeqCst, place).is_ok()
    }

    /// The next question nobody has asked yet; repeated ones share the first one's answer.
    fn next_job(&self) -> Option<Arc<Job>> {
        let mut source = lock(&self.source);
        loop {
            let mut line = lock(&self.line);
            while line.tickets.len() >= AHEAD {
                line = self.space_available.wait(line).unwrap_or_else(PoisonError::into_inner);
            }
            if line.ended {
                return None;
            }
            drop(line);
            let (words, known) = &mut *source;
            let word = match words.next() {
                Some(Ok(word)) => word,
                Some(Err(error)) => return self.end(Some(error)),
                None => return self.end(None),
            };
            if let Some(known) = known.get(&word) {
                self.enlist(known.clone());
                continue;
            }
            let ticket = Job { word, begun: Instant::now(), answer: OnceLock::new() };
            let ticket = Arc::new(ticket);
            if known.len() < REMEMBERED {
                known.insert(ticket.word.clone(), ticket.clone());
            }
            self.enlist(ticket.clone());
            return Some(ticket);
        }
    }

    fn enlist(&self, ticket: Arc<Job>) {
        lock(&self.line).tickets.push_back(ticket);
        self.wake_all();
    }

    fn end(&self, unreadable: Option<io::Error>) -> Option<Arc<Job>> {
        let mut line = lock(&self.line);
        line.ended = true;
        line.unreadable = unreadable;
        drop(line);
        self.wake_all();
        None
    }

    /// Wakes whoever waits for answers; nobody waits while answers are plenty.
    fn wake_all(&self) {
        if self.waiting.swap(false, Ordering::SeqCst) {
            shutdown::wake(&self.rope);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
