//! The queue of a batch: workers take questions in their order, and each question is looked up once.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use super::answer::Answer;
use super::no_answer::NoAnswer;
use super::options::BatchLimits;
use crate::error::Failure;
use crate::poll;
use crate::resolver::STACK_SIZE;

/// The maximum number of jobs that are not printed yet.
const MAX_PENDING: usize = 4096;
/// The maximum number of distinct questions whose answers are kept for repetitions.
const MAX_CACHED: usize = 16_384;

/// The questions; an error ends them.
pub type Questions = Box<dyn Iterator<Item = io::Result<String>> + Send>;
/// The lookup of one question, until a deadline.
pub type Lookup = Box<dyn Fn(&str, Option<Instant>) -> Answer + Send + Sync>;

pub struct Job {
    /// The question as the user wrote it.
    pub question: String,
    /// When a worker took it.
    pub started: Instant,
    pub answer: OnceLock<Answer>,
}

/// The queue that workers and printer share.
pub struct WorkQueue {
    source: Mutex<Source>,
    pending: Mutex<Pending>,
    /// Notified when a pending job is removed.
    pub space_available: Condvar,
    /// Whether the printer waits for `wake_tx`.
    pub is_waiting: AtomicBool,
    wake_tx: OwnedFd,
    lookup: Lookup,
    pub limits: BatchLimits,
    /// The number of workers, without the stuck ones.
    pub workers: AtomicUsize,
    /// The number of workers whose job was given up.
    pub stuck: AtomicUsize,
}

/// The questions that are left, and the jobs of those that were taken.
struct Source {
    questions: Questions,
    cache: HashMap<String, Arc<Job>>,
}

/// The jobs that are not printed yet.
#[derive(Default)]
pub struct Pending {
    /// The jobs, in the order of the questions.
    pub jobs: VecDeque<Arc<Job>>,
    /// Whether all questions were taken.
    pub ended: bool,
    /// The error that ended the questions.
    pub read_error: Option<io::Error>,
}

impl WorkQueue {
    /// Creates a queue without workers; `wake_tx` wakes the printer.
    pub fn new(
        questions: Questions,
        lookup: Lookup,
        limits: BatchLimits,
        wake_tx: OwnedFd,
    ) -> WorkQueue {
        WorkQueue {
            source: Mutex::new(Source { questions, cache: HashMap::new() }),
            pending: Mutex::default(),
            space_available: Condvar::new(),
            is_waiting: AtomicBool::new(false),
            wake_tx,
            lookup,
            limits,
            workers: AtomicUsize::new(0),
            stuck: AtomicUsize::new(0),
        }
    }

    pub fn pending(&self) -> MutexGuard<'_, Pending> {
        lock(&self.pending)
    }

    /// Spawns a worker, unless there are `max_jobs`.
    pub fn spawn_worker(self: &Arc<WorkQueue>) -> io::Result<()> {
        if !self.add_worker() {
            return Ok(());
        }
        let queue = self.clone();
        let thread = thread::Builder::new().name("resolve".into()).stack_size(STACK_SIZE);
        thread.spawn(move || queue.run_worker()).map(drop).inspect_err(|_| {
            self.workers.fetch_sub(1, Ordering::SeqCst);
        })
    }

    /// Counts one more worker, unless there are `max_jobs`.
    fn add_worker(&self) -> bool {
        let max_jobs = self.limits.max_jobs.max(1);
        let add = |workers| (workers < max_jobs).then_some(workers + 1);
        self.workers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add).is_ok()
    }

    fn run_worker(self: Arc<WorkQueue>) {
        while let Some(job) = self.next_job() {
            // One worker is sufficient; that another one cannot be created is not an error.
            let _ = self.spawn_worker();
            let timeout = self.limits.timeout;
            let deadline = timeout.and_then(|timeout| job.started.checked_add(timeout));
            let answer = self.answer(&job.question, deadline);
            let answer = answer.for_question(&job.question, job.started.elapsed());
            let is_late = job.answer.set(answer).is_err();
            self.wake_printer();
            if is_late && !self.rejoin() {
                return;
            }
        }
        self.workers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Looks up one question; a panic fails this question only.
    fn answer(&self, question: &str, deadline: Option<Instant>) -> Answer {
        let lookup = std::panic::AssertUnwindSafe(|| (self.lookup)(question, deadline));
        std::panic::catch_unwind(lookup).unwrap_or_else(|_| {
            let failure = Failure::resolver(question, "the resolver's thread panicked");
            NoAnswer::from(failure).into()
        })
    }

    /// Counts a stuck worker as a worker again, unless there are `max_jobs`.
    fn rejoin(&self) -> bool {
        self.stuck.fetch_sub(1, Ordering::SeqCst);
        self.add_worker()
    }

    /// Takes the next question that was not looked up yet; repeated ones share the job of the first.
    fn next_job(&self) -> Option<Arc<Job>> {
        let mut source = lock(&self.source);
        loop {
            if !self.wait_for_space() {
                return None;
            }
            let question = match source.questions.next() {
                Some(Ok(question)) => question,
                Some(Err(error)) => return self.end(Some(error)),
                None => return self.end(None),
            };
            if let Some(known) = source.cache.get(&question) {
                self.push(known.clone());
                continue;
            }
            let job = Job { question, started: Instant::now(), answer: OnceLock::new() };
            let job = Arc::new(job);
            if source.cache.len() < MAX_CACHED {
                source.cache.insert(job.question.clone(), job.clone());
            }
            self.push(job.clone());
            return Some(job);
        }
    }

    /// Waits until there is space for a job; returns false if all questions were taken.
    fn wait_for_space(&self) -> bool {
        let is_full = |pending: &mut Pending| pending.jobs.len() >= MAX_PENDING;
        let pending = self.space_available.wait_while(self.pending(), is_full);
        !pending.unwrap_or_else(PoisonError::into_inner).ended
    }

    fn push(&self, job: Arc<Job>) {
        self.pending().jobs.push_back(job);
        self.wake_printer();
    }

    fn end(&self, read_error: Option<io::Error>) -> Option<Arc<Job>> {
        let mut pending = self.pending();
        pending.ended = true;
        pending.read_error = read_error;
        drop(pending);
        self.wake_printer();
        None
    }

    /// Wakes the printer if it waits; it does not while answers are ready.
    fn wake_printer(&self) {
        if self.is_waiting.swap(false, Ordering::SeqCst) {
            poll::wake(&self.wake_tx);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
