//! Threads for connections: one each, as ever, but a finished thread waits a while for the next.
//!
//! Creating a thread is most of the price of a short connection, and on a busy machine a new one
//! waits a scheduler's tick where a parked one is woken at once.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a finished thread waits for another connection.
const PARKED: Duration = Duration::from_secs(5);
/// Finished threads that wait at once; more leave.
const MOST_PARKED: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// Runs each job on a thread of its own.
#[derive(Clone)]
pub struct Pool {
    stack: usize,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    arrival: Condvar,
    idle_timeout: Duration,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    idle: usize,
}

impl Pool {
    /// A pool whose threads have `stack` bytes of stack.
    pub fn new(stack: usize) -> Pool {
        Pool::with_patience(stack, PARKED)
    }

    fn with_patience(stack: usize, patience: Duration) -> Pool {
        let (state, arrival) = (Mutex::default(), Condvar::default());
        Pool { stack, shared: Arc::new(Shared { state, arrival, idle_timeout: patience }) }
    }

    /// Runs `job` on a parked thread, or on a new one.
    ///
    /// Fails when no thread can be had (`clone3(2)`: EAGAIN); the job is dropped, unrun.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.jobs.push_back(Box::new(job));
        let is_awaited = state.idle >= state.jobs.len();
        // Not held while a thread is woken, or it would wake up only to wait for the lock.
        drop(state);
        if is_awaited {
            self.shared.arrival.notify_one();
            return Ok(());
        }
        let shared = self.shared.clone();
        let spawned = thread::Builder::new().stack_size(self.stack).spawn(move || shared.work());
        if let Err(e) = spawned {
            // A thread that finished meanwhile may have taken the job; then all is well.
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

    /// A thread's life: jobs, with waits between them, until a wait is in vain.
    fn work(&self) {
        while let Some(job) = self.next() {
            // What a job owes the world it does in its own destructors; the panic text has been
            // told by the hook, and the thread is as good as new.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        if let Some(job) = state.jobs.pop_front() {
            return Some(job);
        }
        if state.idle >= MOST_PARKED {
            return None;
        }
        state.idle += 1;
        let waited =
            self.arrival.wait_timeout_while(state, self.idle_timeout, |s| s.jobs.is_empty());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        state.jobs.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rng::TestRng;
    use std::sync::mpsc::channel;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn every_job_runs_at_once_even_when_all_threads_are_busy() {
        let pool = Pool::new(64 << 10);
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
    fn no_job_is_lost_however_threads_come_and_go() {
        let pool = Pool::new(64 << 10);
        let (done, results) = channel();
        for n in 0..2000 {
            let done = done.clone();
            pool.run(move || done.send(n).unwrap_or_default()).unwrap();
            if n % 7 == 0 {
                thread::yield_now();
            }
        }
        let mut seen: Vec<i32> =
            (0..2000).map(|_| results.recv_timeout(PATIENCE).unwrap()).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..2000));
    }

    /// Jobs arrive just when parked threads lose their patience: one that was counted on and left
    /// would leave its job lying there.
    #[test]
    fn no_job_is_left_when_patience_ends_as_it_comes() {
        const JOBS: usize = 1500;
        let mut chance = TestRng::new();
        let pool = Pool::with_patience(64 << 10, Duration::from_micros(60));
        let (done, results) = channel();
        let givers = [chance.split(), chance.split()].map(|mut chance| {
            let (pool, done) = (pool.clone(), done.clone());
            thread::spawn(move || {
                for _ in 0..JOBS {
                    let (done, mut own) = (done.clone(), chance.split());
                    let job = move || {
                        own.random_pause();
                        done.send(()).unwrap_or_default();
                    };
                    pool.run(job).unwrap();
                    chance.random_pause();
                }
            })
        });
        for n in 0..2 * JOBS {
            assert_eq!(results.recv_timeout(PATIENCE), Ok(()), "job {n}");
        }
        givers.into_iter().for_each(|giver| giver.join().unwrap());
    }

    #[test]
    fn a_panic_costs_its_own_job_only() {
        let pool = Pool::new(256 << 10);
        pool.run(|| std::panic::resume_unwind(Box::new("boom"))).unwrap();
        let (done, results) = channel();
        pool.run(move || done.send(1).unwrap_or_default()).unwrap();
        assert_eq!(results.recv_timeout(PATIENCE), Ok(1));
    }
}
