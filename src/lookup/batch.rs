//! Concurrent lookups of many questions, with the answers in the order of the questions.
//!
//! A lookup by the C library has no deadline. Questions are started in their order and have the
//! same time limit, so the oldest pending one is the first to expire, and only its deadline is
//! watched. When it expires, its worker counts as stuck, and another one is spawned.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::answer::Answer;
use super::no_answer::NoAnswer;
use super::options::BatchLimits;
use super::work_queue::{Job, Lookup, Questions, WorkQueue};
use crate::error::{Failure, Phase};
use crate::poll;
use crate::poll::earliest;
use crate::shutdown::{Shutdown, ShutdownReason, WaitOutcome};

/// The maximum number of stuck workers that are replaced.
const MAX_STUCK_WORKERS: usize = 1024;
/// The maximum time between an answer and its output if the wake pipe cannot be written.
const WAKE_TIMEOUT: Duration = Duration::from_millis(250);

/// What the printer of a batch does next.
pub enum BatchEvent {
    Answer(Arc<Job>),
    /// All answers were printed.
    End,
    /// The questions could not be read any further.
    ReadError(io::Error),
    Stopped(ShutdownReason),
    /// Stdout has no reader any more.
    StdoutClosed,
}

pub struct Batch {
    queue: Arc<WorkQueue>,
    wake_rx: OwnedFd,
}

impl Batch {
    /// Starts the lookups with one worker. Each worker that takes a question spawns the next one, up
    /// to `max_jobs`.
    ///
    /// Fails if no thread or pipe can be created.
    pub fn start(questions: Questions, lookup: Lookup, limits: BatchLimits) -> io::Result<Batch> {
        let poll::WakePipe { rx: wake_rx, tx: wake_tx } = poll::WakePipe::new()?;
        let queue = Arc::new(WorkQueue::new(questions, lookup, limits, wake_tx));
        queue.spawn_worker()?;
        Ok(Batch { queue, wake_rx })
    }

    /// Returns the next event if there is one without waiting.
    pub fn poll(&self) -> Option<BatchEvent> {
        let mut pending = self.queue.pending();
        let Some(first) = pending.jobs.front() else {
            let error = pending.read_error.take();
            return pending.ended.then(|| error.map_or(BatchEvent::End, BatchEvent::ReadError));
        };
        let is_answered = first.answer.get().is_some();
        let is_expired = self.deadline(first).is_some_and(|at| at <= Instant::now());
        if !is_answered && !is_expired {
            return None;
        }
        let first = pending.jobs.pop_front()?;
        drop(pending);
        self.queue.space_available.notify_one();
        if !is_answered {
            self.abandon_worker(&first);
        }
        Some(BatchEvent::Answer(first))
    }

    /// Waits for the next event. `stdout` is watched for a reader that closes it.
    ///
    /// Fails if poll(2) does.
    pub fn wait(&self, stop: &Shutdown, stdout: BorrowedFd<'_>) -> io::Result<BatchEvent> {
        loop {
            // Set before the check, so that an answer in between writes to the pipe.
            self.queue.is_waiting.store(true, Ordering::SeqCst);
            if let Some(event) = self.poll() {
                self.queue.is_waiting.store(false, Ordering::SeqCst);
                return Ok(event);
            }
            let deadline = self.queue.pending().jobs.front().and_then(|job| self.deadline(job));
            let deadline = earliest(deadline, Instant::now().checked_add(WAKE_TIMEOUT));
            let mut fds = [
                PollFd::new(&self.wake_rx, PollFlags::IN),
                PollFd::from_borrowed_fd(stdout, PollFlags::empty()),
            ];
            match stop.wait_any(&mut fds, deadline)? {
                WaitOutcome::Shutdown(reason) => return Ok(BatchEvent::Stopped(reason)),
                WaitOutcome::Ready(_) if !fds[1].revents().is_empty() => {
                    return Ok(BatchEvent::StdoutClosed);
                }
                WaitOutcome::Ready(_) => poll::clear(&self.wake_rx),
                WaitOutcome::TimedOut => (),
            }
        }
    }

    fn deadline(&self, job: &Job) -> Option<Instant> {
        let BatchLimits { timeout, grace, .. } = self.queue.limits;
        timeout.and_then(|timeout| job.started.checked_add(timeout + grace))
    }

    /// Sets a timeout as the answer of an expired job, and replaces its worker.
    fn abandon_worker(&self, job: &Job) {
        let timeout = self.queue.limits.timeout.unwrap_or_default();
        let failure = Failure::timeout(Phase::Resolve, &job.question, timeout);
        let answer = Answer::from(NoAnswer::from(failure)).for_question(&job.question, timeout);
        if job.answer.set(answer).is_err() {
            return;
        }
        self.queue.workers.fetch_sub(1, Ordering::SeqCst);
        if self.queue.stuck.fetch_add(1, Ordering::SeqCst) < MAX_STUCK_WORKERS {
            // If no thread can be created, the stuck worker rejoins when its lookup returns.
            let _ = self.queue.spawn_worker();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::event::lookup::{LookupReport, LookupStatus};
    use std::os::fd::AsFd;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    const LONG: Duration = Duration::from_secs(20);

    fn batch(questions: &[&str], max_jobs: usize, timeout: Duration, lookup: Lookup) -> Batch {
        let questions: Vec<_> = questions.iter().map(|word| Ok(word.to_string())).collect();
        let grace = Duration::from_millis(20);
        let limits = BatchLimits { max_jobs, timeout: Some(timeout), grace };
        Batch::start(Box::new(questions.into_iter()), lookup, limits).unwrap()
    }

    fn results(batch: &Batch) -> Vec<(String, LookupStatus)> {
        let stop = Shutdown::new(Some(Instant::now() + LONG)).unwrap();
        let mut results = Vec::new();
        while let BatchEvent::Answer(job) = batch.wait(&stop, io::stdout().as_fd()).unwrap() {
            let result = &job.answer.get().unwrap().result;
            results.push((result.name.clone(), result.status));
        }
        results
    }

    #[test]
    fn answers_have_the_order_of_the_questions() {
        let words: Vec<String> = (0..500).map(|n| n.to_string()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let lookup = Box::new(|word: &str, _| {
            if word.ends_with('7') {
                thread::yield_now();
            }
            Answer::ok(LookupReport::default())
        });
        let batch = batch(&words, 8, LONG, lookup);
        let names: Vec<String> = results(&batch).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, words);
    }

    #[test]
    fn stuck_lookup_delays_its_own_answer_only() {
        let lookup = Box::new(|word: &str, _| {
            if word == "silent" {
                thread::sleep(Duration::from_secs(5));
            }
            Answer::ok(LookupReport::default())
        });
        let started = Instant::now();
        let questions = ["a", "silent", "b", "silent", "c"];
        let batch = batch(&questions, 2, Duration::from_millis(300), lookup);
        let status: Vec<_> = results(&batch).into_iter().map(|(_, status)| status).collect();
        let [ok, timeout] = [LookupStatus::Ok, LookupStatus::Timeout];
        assert_eq!(status, [ok, timeout, ok, timeout, ok]);
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    }

    #[test]
    fn repeated_question_is_looked_up_once() {
        let lookups = Arc::new(AtomicUsize::new(0));
        let count = lookups.clone();
        let lookup = Box::new(move |_: &str, _| {
            count.fetch_add(1, Ordering::SeqCst);
            Answer::ok(LookupReport::default())
        });
        let batch = batch(&["a"; 5000], 4, LONG, lookup);
        assert_eq!(results(&batch).len(), 5000);
        assert_eq!(lookups.load(Ordering::SeqCst), 1);
    }
}
