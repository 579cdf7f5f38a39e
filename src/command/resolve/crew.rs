//! Many questions at once: workers take them in order, and answers come out in that order.
//!
//! A worker may sit in the C library for as long as a silent server lets it. Questions start
//! in the order they were asked and all have the same time, so the oldest one unanswered is
//! always the first to run out: only that one is watched. Its worker is then left behind, and
//! another takes its place.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::answer::Answer;
use crate::failure::{Code, Failure, Stage};
use crate::net::resolve::STACK;
use crate::stop::{self, Reason, Stop, Wake};

/// How many answers may wait behind one that is not there yet.
const AHEAD: usize = 4096;
/// How many distinct questions are remembered, so that one asked again costs nothing.
const REMEMBERED: usize = 16_384;
/// How many workers may be left behind at once; past that their places stay empty until the
/// C library lets one of them go.
const LEFT_BEHIND: usize = 1024;
/// Where questions come from; an error ends the list.
pub type Source = Box<dyn Iterator<Item = io::Result<String>> + Send>;
/// How one is answered, until a moment.
pub type Work = Box<dyn Fn(&str, Option<Instant>) -> Answer + Send + Sync>;

/// What comes out next.
pub enum Next {
    /// The next answer, in the order of the questions.
    Answer(Arc<Ticket>),
    /// No more questions.
    End,
    /// The list could not be read any further.
    Unreadable(io::Error),
    /// The run is to end.
    Stopped(Reason),
    /// Nobody reads the answers any more.
    Unheard,
}

/// A question on its way.
pub struct Ticket {
    word: String,
    begun: Instant,
    answer: OnceLock<Answer>,
}

impl Ticket {
    /// Its answer, once it has come out.
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.get()
    }
}

/// How much time a question has.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    /// Until its answer is to be there; `None` for as long as it takes.
    pub limit: Option<Duration>,
    /// What a worker that keeps to its time gets beyond it, to say what it knows.
    pub grace: Duration,
}

/// The workers and what they share.
pub struct Crew {
    desk: Arc<Desk>,
    bell: OwnedFd,
}

struct Desk {
    source: Mutex<(Source, HashMap<String, Arc<Ticket>>)>,
    line: Mutex<Line>,
    room: Condvar,
    waiting: AtomicBool,
    rope: OwnedFd,
    work: Work,
    time: Time,
    jobs: usize,
    hired: AtomicUsize,
    behind: AtomicUsize,
}

#[derive(Default)]
struct Line {
    tickets: VecDeque<Arc<Ticket>>,
    ended: bool,
    unreadable: Option<io::Error>,
}

impl Crew {
    /// Starts on `source` with one worker; each that finds work brings the next, up to
    /// `jobs`. Every question has the same `time`.
    ///
    /// Fails when no thread or pipe can be had.
    pub fn start(source: Source, work: Work, jobs: usize, time: Time) -> io::Result<Crew> {
        let (bell, rope) = stop::bell()?;
        let desk = Arc::new(Desk {
            source: Mutex::new((source, HashMap::new())),
            line: Mutex::default(),
            room: Condvar::new(),
            waiting: AtomicBool::new(false),
            rope,
            work,
            time,
            jobs: jobs.max(1),
            hired: AtomicUsize::new(0),
            behind: AtomicUsize::new(0),
        });
        desk.hire()?;
        Ok(Crew { desk, bell })
    }

    /// The next answer if it is there already.
    pub fn ready(&self) -> Option<Next> {
        let mut line = lock(&self.desk.line);
        match line.tickets.front() {
            Some(first) if first.answer.get().is_some() => {
                let first = line.tickets.pop_front()?;
                self.desk.room.notify_one();
                Some(Next::Answer(first))
            }
            Some(first) if self.due(first).is_some_and(|due| due <= Instant::now()) => {
                let first = line.tickets.pop_front()?;
                drop(line);
                Some(Next::Answer(self.give_up(first)))
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
    pub fn next(&self, stop: &Stop, out: BorrowedFd<'_>) -> io::Result<Next> {
        loop {
            // Said before looking, so that an answer that comes in between rings the bell.
            self.desk.waiting.store(true, Ordering::SeqCst);
            if let Some(next) = self.ready() {
                self.desk.waiting.store(false, Ordering::SeqCst);
                return Ok(next);
            }
            let due = lock(&self.desk.line).tickets.front().and_then(|first| self.due(first));
            let mut fds = [
                PollFd::new(&self.bell, PollFlags::IN),
                PollFd::from_borrowed_fd(out, PollFlags::empty()),
            ];
            match stop.wait_any(&mut fds, due)? {
                Wake::Stopped(reason) => return Ok(Next::Stopped(reason)),
                Wake::Ready(_) if !fds[1].revents().is_empty() => {
                    return Ok(Next::Unheard);
                }
                Wake::Ready(_) => drain(&self.bell),
                Wake::Late => (),
            }
        }
    }

    fn due(&self, ticket: &Ticket) -> Option<Instant> {
        let Time { limit, grace } = self.desk.time;
        limit.and_then(|limit| ticket.begun.checked_add(limit + grace))
    }

    /// Answers for a worker that did not come back, and fills its place.
    fn give_up(&self, ticket: Arc<Ticket>) -> Arc<Ticket> {
        let limit = self.desk.time.limit.unwrap_or_default();
        let late = Failure::late(Stage::Resolve, &ticket.word, limit);
        let late = Answer::failed(late).to(&ticket.word, limit);
        if ticket.answer.set(late).is_ok() {
            self.desk.hired.fetch_sub(1, Ordering::SeqCst);
            if self.desk.behind.fetch_add(1, Ordering::SeqCst) < LEFT_BEHIND {
                // Without a thread to be had, the one left behind comes back to its place.
                let _ = self.desk.hire();
            }
        }
        self.desk.room.notify_one();
        ticket
    }
}

impl Desk {
    /// One more worker, if there is a place for it.
    fn hire(self: &Arc<Desk>) -> io::Result<()> {
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

    fn serve(self: Arc<Desk>) {
        while let Some(ticket) = self.take() {
            // One worker is enough to go on; a second that cannot be had is no failure.
            let _ = self.hire();
            let until = self.time.limit.and_then(|limit| ticket.begun.checked_add(limit));
            let answer = self.answer(&ticket.word, until);
            let answer = answer.to(&ticket.word, ticket.begun.elapsed());
            let late = ticket.answer.set(answer).is_err();
            self.ring();
            if late && !self.comes_back() {
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
            Answer::failed(Failure::new(Stage::Resolve, word, why).with_code(Code::TryAgain))
        })
    }

    /// Whether there is still a place for a worker that was left behind.
    fn comes_back(&self) -> bool {
        self.behind.fetch_sub(1, Ordering::SeqCst);
        let place = |hired| (hired < self.jobs).then_some(hired + 1);
        self.hired.fetch_update(Ordering::SeqCst, Ordering::SeqCst, place).is_ok()
    }

    /// The next question nobody has asked yet; repeated ones share the first one's answer.
    fn take(&self) -> Option<Arc<Ticket>> {
        let mut source = lock(&self.source);
        loop {
            let mut line = lock(&self.line);
            while line.tickets.len() >= AHEAD {
                line = self.room.wait(line).unwrap_or_else(PoisonError::into_inner);
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
            let ticket = Ticket { word, begun: Instant::now(), answer: OnceLock::new() };
            let ticket = Arc::new(ticket);
            if known.len() < REMEMBERED {
                known.insert(ticket.word.clone(), ticket.clone());
            }
            self.enlist(ticket.clone());
            return Some(ticket);
        }
    }

    fn enlist(&self, ticket: Arc<Ticket>) {
        lock(&self.line).tickets.push_back(ticket);
        self.ring();
    }

    fn end(&self, unreadable: Option<io::Error>) -> Option<Arc<Ticket>> {
        let mut line = lock(&self.line);
        line.ended = true;
        line.unreadable = unreadable;
        drop(line);
        self.ring();
        None
    }

    /// Wakes whoever waits for answers; nobody waits while answers are plenty.
    fn ring(&self) {
        if self.waiting.swap(false, Ordering::SeqCst) {
            stop::ring(&self.rope);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn drain(bell: &OwnedFd) {
    let mut rings = [0; 64];
    while matches!(rustix::io::read(bell, &mut rings), Ok(n) if n == rings.len()) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::resolved::Resolved;
    use std::os::fd::AsFd;

    fn crew(words: &[&str], jobs: usize, limit: Duration, work: Work) -> Crew {
        let words: Vec<_> = words.iter().map(|word| Ok(word.to_string())).collect();
        let time = Time { limit: Some(limit), grace: Duration::from_millis(20) };
        Crew::start(Box::new(words.into_iter()), work, jobs, time).unwrap()
    }

    fn told(crew: &Crew) -> Vec<(String, &'static str)> {
        let stop = Stop::new(Some(Instant::now() + Duration::from_secs(20))).unwrap();
        let mut told = Vec::new();
        while let Next::Answer(ticket) = crew.next(&stop, io::stdout().as_fd()).unwrap() {
            let facts = &ticket.answer().unwrap().facts;
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
            Answer::ok(Resolved::default())
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
            Answer::ok(Resolved::default())
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
            Answer::ok(Resolved::default())
        });
        let crew = crew(&["a"; 5000], 4, Duration::from_secs(20), work);
        assert_eq!(told(&crew).len(), 5000);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}
