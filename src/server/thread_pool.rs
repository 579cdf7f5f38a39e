//! A thread pool with one thread per running job; a finished thread waits a few seconds for the
//! next one. A panic ends its job, not the thread: it is caught here.
//!
//! Creating a thread is most of the cost of a short connection, and on a busy machine a new thread
//! waits for a scheduler tick where a parked one is woken immediately.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a finished thread waits for another job.
const PARK_TIMEOUT: Duration = Duration::from_secs(5);
/// The limit of finished threads that wait; further ones exit.
const MAX_PARKED: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// Runs each job on a thread of its own.
#[derive(Clone)]
pub struct ThreadPool {
    stack_size: usize,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    job_added: Condvar,
    park_timeout: Duration,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    parked: usize,
}

impl ThreadPool {
    /// A pool whose threads have `stack_size` bytes of stack.
    pub fn new(stack_size: usize) -> ThreadPool {
        ThreadPool::with_park_timeout(stack_size, PARK_TIMEOUT)
    }

    fn with_park_timeout(stack_size: usize, park_timeout: Duration) -> ThreadPool {
        let (state, job_added) = (Mutex::default(), Condvar::default());
        ThreadPool { stack_size, shared: Arc::new(Shared { state, job_added, park_timeout }) }
    }

    /// Runs `job` on a parked thread, or on a new one.
    ///
    /// Fails when no thread can be created (`clone3(2)`: EAGAIN); the job is dropped without
    /// running.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.jobs.push_back(Box::new(job));
        let has_parked = state.parked >= state.jobs.len();
        // Unlocked before the notification: the woken thread would only wait for the lock.
        drop(state);
        tracing::trace!(reused = has_parked, "thread for a connection");
        if has_parked {
            self.shared.job_added.notify_one();
            return Ok(());
        }
        let shared = self.shared.clone();
        let spawned =
            thread::Builder::new().stack_size(self.stack_size).spawn(move || shared.work());
        if let Err(e) = spawned {
            // A thread that finished meanwhile may have taken the job.
            let dropped = self.shared.lock().jobs.pop_back();
            return if dropped.is_some() { Err(e) } else { Ok(()) };
        }
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs jobs on the current thread until none arrives for `park_timeout`.
    fn work(&self) {
        while let Some(job) = self.next_job() {
            // A job cleans up in its destructors, and the panic hook has printed the message: the
            // thread can be used again.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        if let Some(job) = state.jobs.pop_front() {
            return Some(job);
        }
        if state.parked >= MAX_PARKED {
            return None;
        }
        state.parked += 1;
        let waited =
            self.job_added.wait_timeout_while(state, self.park_timeout, |s| s.jobs.is_empty());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.parked -= 1;
        state.jobs.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rng::TestRng;
    use std::sync::mpsc::channel;

    const TIMEOUT: Duration = Duration::from_secs(20);

    #[test]
    fn jobs_run_concurrently_when_all_threads_are_busy() {
        let pool = ThreadPool::new(64 << 10);
        let barrier = Arc::new(std::sync::Barrier::new(21));
        for _ in 0..20 {
            let barrier = barrier.clone();
            pool.run(move || {
                barrier.wait();
            })
            .unwrap();
        }
        barrier.wait();
    }

    #[test]
    fn every_job_runs_once() {
        let pool = ThreadPool::new(64 << 10);
        let (done, results) = channel();
        for n in 0..2000 {
            let done = done.clone();
            pool.run(move || done.send(n).unwrap_or_default()).unwrap();
            if n % 7 == 0 {
                thread::yield_now();
            }
        }
        let mut seen: Vec<i32> =
            (0..2000).map(|_| results.recv_timeout(TIMEOUT).unwrap()).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..2000));
    }

    /// Jobs are added while the wait of parked threads times out: one that was counted as parked
    /// and exited would leave its job in the queue.
    #[test]
    fn job_added_during_park_timeout_runs() {
        const JOBS: usize = 1500;
        let mut rng = TestRng::new();
        let pool = ThreadPool::with_park_timeout(64 << 10, Duration::from_micros(60));
        let (done, results) = channel();
        let adders = [rng.split(), rng.split()].map(|mut rng| {
            let (pool, done) = (pool.clone(), done.clone());
            thread::spawn(move || {
                for _ in 0..JOBS {
                    let (done, mut job_rng) = (done.clone(), rng.split());
                    let job = move || {
                        job_rng.random_pause();
                        done.send(()).unwrap_or_default();
                    };
                    pool.run(job).unwrap();
                    rng.random_pause();
                }
            })
        });
        for n in 0..2 * JOBS {
            assert_eq!(results.recv_timeout(TIMEOUT), Ok(()), "job {n}");
        }
        adders.into_iter().for_each(|adder| adder.join().unwrap());
    }

    #[test]
    fn panic_in_a_job_leaves_the_pool_usable() {
        let pool = ThreadPool::new(256 << 10);
        pool.run(|| std::panic::resume_unwind(Box::new("boom"))).unwrap();
        let (done, results) = channel();
        pool.run(move || done.send(1).unwrap_or_default()).unwrap();
        assert_eq!(results.recv_timeout(TIMEOUT), Ok(1));
    }
}
