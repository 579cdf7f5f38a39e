//! Many questions at once: workers take them in order, and answers come out in that order.
//!
//! A worker may sit in the C library for as long as a silent server lets it. Questions start
//! in the order they were asked and all have the same time, so the oldest one unanswered is
//! always the first to run out: only that one is watched. Its worker is then left behind, and
//! another takes its place.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::answer::Answer;
use super::work_queue::{Job, Source, TimeLimits, Work, WorkQueue};
use crate::error::{Failure, Phase};
use crate::shutdown;
use crate::shutdown::{Shutdown, ShutdownReason, WaitOutcome, earliest};

/// How many workers may be left behind at once; past that their places stay empty until the
/// C library lets one of them go.
const MAX_STUCK_WORKERS: usize = 1024;
/// How long an answer may lie there whose bell could not be rung.
const WAKE_TIMEOUT: Duration = Duration::from_millis(250);

/// What comes out next.
pub enum Next {
    /// The next answer, in the order of the questions.
    Answer(Arc<Job>),
    /// No more questions.
    End,
    /// The list could not be read any further.
    Unreadable(io::Error),
    /// The run is to end.
    Stopped(ShutdownReason),
    /// Nobody reads the answers any more.
    StdoutClosed,
}

/// The workers and what they share.
pub struct Batch {
    desk: Arc<WorkQueue>,
    bell: OwnedFd,
}

impl Batch {
    /// Starts on `source` with one worker; each that finds work brings the next, up to
    /// `jobs`. Every question has the same `time`.
    ///
    /// Fails when no thread or pipe can be had.
    pub fn start(source: Source, work: Work, jobs: usize, time: TimeLimits) -> io::Result<Batch> {
        let (bell, rope) = shutdown::wake_pipe()?;
        let desk = Arc::new(WorkQueue::new(source, work, jobs, time, rope));
        desk.spawn_worker()?;
        Ok(Batch { desk, bell })
    }

    /// The next answer if it is there already.
    pub fn ready(&self) -> Option<Next> {
        let mut line = self.desk.line();
        match line.tickets.front() {
            Some(first) if first.answer.get().is_some() => {
                let first = line.tickets.pop_front()?;
                self.desk.space_available.notify_one();
                Some(Next::Answer(first))
            }
            Some(first) if self.due(first).is_some_and(|due| due <= Instant::now()) => {
                let first = line.tickets.pop_front()?;
                drop(line);
                Some(Next::Answer(self.abandon_worker(first)))
            }
            None if line.ended => Some(match line.unreadable.take() {
                Some(error) => Next::Unreadable(error),
                None => Next::End,
            }),
            _ => None,
        }
    }

    /// Waits for the next answer, or until nobody reads from `out` any more.
    ///
    /// Fails when the wait itself does.
    pub fn next(&self, stop: &Shutdown, out: BorrowedFd<'_>) -> io::Result<Next> {
        loop {
            // Said before looking, so that an answer that comes in between rings the bell.
            self.desk.waiting.store(true, Ordering::SeqCst);
            if let Some(next) = self.ready() {
                self.desk.waiting.store(false, Ordering::SeqCst);
                return Ok(next);
            }
            let due = self.desk.line().tickets.front().and_then(|first| self.due(first));
            let due = earliest(due, Instant::now().checked_add(WAKE_TIMEOUT));
            let mut fds = [
                PollFd::new(&self.bell, PollFlags::IN),
                PollFd::from_borrowed_fd(out, PollFlags::empty()),
            ];
            match stop.wait_any(&mut fds, due)? {
                WaitOutcome::Shutdown(reason) => return Ok(Next::Stopped(reason)),
                WaitOutcome::Ready(_) if !fds[1].revents().is_empty() => {
                    return Ok(Next::StdoutClosed);
                }
                WaitOutcome::Ready(_) => drain(&self.bell),
                WaitOutcome::TimedOut => (),
            }
        }
    }

    fn due(&self, ticket: &Job) -> Option<Instant> {
        let TimeLimits { limit, grace } = self.desk.time;
        limit.and_then(|limit| ticket.begun.checked_add(limit + grace))
    }

    /// Answers for a worker that did not come back, and fills its place.
    fn abandon_worker(&self, ticket: Arc<Job>) -> Arc<Job> {
        let limit = self.desk.time.limit.unwrap_or_default();
        let late = Failure::timeout(Phase::Resolve, &ticket.word, limit);
        let late = Answer::failed(late).for_question(&ticket.word, limit);
        if ticket.answer.set(late).is_ok() {
            self.desk.hired.fetch_sub(1, Ordering::SeqCst);
            if self.desk.stuck.fetch_add(1, Ordering::SeqCst) < MAX_STUCK_WORKERS {
                // Without a thread to be had, the one left behind comes back to its place.
                let _ = self.desk.spawn_worker();
            }
        }
        self.desk.space_available.notify_one();
        ticket
    }
}

fn drain(bell: &OwnedFd) {
    let mut rings = [0; 64];
    while matches!(rustix::io::read(bell, &mut rings), Ok(n) if n == rings.len()) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::lookup::LookupReport;
    use std::os::fd::AsFd;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    fn crew(words: &[&str], jobs: usize, limit: Duration, work: Work) -> Batch {
        let words: Vec<_> = words.iter().map(|word| Ok(word.to_string())).collect();
        let time = TimeLimits { limit: Some(limit), grace: Duration::from_millis(20) };
        Batch::start(Box::new(words.into_iter()), work, jobs, time).unwrap()
    }

    fn told(crew: &Batch) -> Vec<(String, &'static str)> {
        let stop = Shutdown::new(Some(Instant::now() + Duration::from_secs(20))).unwrap();
        let mut told = Vec::new();
        while let Next::Answer(ticket) = crew.next(&stop, io::stdout().as_fd()).unwrap() {
            let facts = &ticket.answer.get().unwrap().facts;
            told.push((facts.name.clone(), facts.status));
        }
        told
    }

    #[test]
    fn answers_come_in_the_order_of_the_questions() {
        let words: Vec<String> = (0..500).map(|n| n.to_string()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let work = Box::new(|word: &str, _| {
            if word.ends_with('7') {
                thread::yield_now();
            }
            Answer::ok(LookupReport::default())
        });
        let crew = crew(&words, 8, Duration::from_secs(20), work);
        let names: Vec<String> = told(&crew).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, words);
    }

    #[test]
    fn a_silent_one_delays_its_own_line_only() {
        let limit = Duration::from_millis(300);
        let work = Box::new(|word: &str, _| {
            if word == "silent" {
                thread::sleep(Duration::from_secs(5));
            }
            Answer::ok(LookupReport::default())
        });
        let begun = Instant::now();
        let crew = crew(&["a", "silent", "b", "silent", "c"], 2, limit, work);
        let status: Vec<_> = told(&crew).into_iter().map(|(_, status)| status).collect();
        assert_eq!(status, ["ok", "timeout", "ok", "timeout", "ok"]);
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_question_asked_again_is_answered_once() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let work = Box::new(move |_: &str, _| {
            count.fetch_add(1, Ordering::SeqCst);
            Answer::ok(LookupReport::default())
        });
        let crew = crew(&["a"; 5000], 4, Duration::from_secs(20), work);
        assert_eq!(told(&crew).len(), 5000);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}
