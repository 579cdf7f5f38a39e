//! The output queue of one chat member: bounded, so that a member that does not read costs a fixed
//! amount of memory and delays no other.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The limit of queued lines.
const MAX_LINES: usize = 1024;
/// The limit of queued bytes.
const MAX_BYTES: usize = 1 << 20;

/// A line, shared by the queues of all members.
pub type Line = Arc<[u8]>;

/// Lines that wait to be delivered to one member.
#[derive(Debug, Default)]
pub struct LineQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Line>,
    bytes: usize,
    /// No more lines are accepted.
    closed: bool,
    /// Delivery has ended: the queue is empty, or delivery failed.
    done: bool,
    /// The limit was exceeded.
    overflowed: bool,
    /// A line was delivered since [`LineQueue::take_delivered`] was last called.
    has_delivered: bool,
}

impl LineQueue {
    /// Adds a line; false when that exceeds the limit, and for every later line. A queue that is
    /// closed for another reason ignores the line and returns true: its member is not to be reset.
    pub fn push(&self, line: &Line) -> bool {
        let mut state = self.lock();
        if state.closed {
            return !state.overflowed;
        }
        state.bytes += line.len();
        state.lines.push_back(line.clone());
        if state.bytes > MAX_BYTES || state.lines.len() > MAX_LINES {
            *state = State { closed: true, overflowed: true, ..State::default() };
        }
        self.changed.notify_all();
        !state.overflowed
    }

    /// As [`LineQueue::push`], but a line that does not fit is dropped and later ones are accepted.
    pub fn push_lossy(&self, line: &Line) {
        let mut state = self.lock();
        let fits = state.bytes + line.len() <= MAX_BYTES && state.lines.len() < MAX_LINES;
        if fits && !state.closed {
            state.bytes += line.len();
            state.lines.push_back(line.clone());
            self.changed.notify_all();
        }
    }

    /// Passes each line to `deliver` until the queue is closed and empty, or a delivery fails.
    pub fn deliver_all<E>(&self, mut deliver: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let outcome = loop {
            let Some(line) = self.next() else { break Ok(()) };
            if let Err(e) = deliver(&line) {
                break Err(e);
            }
            self.lock().has_delivered = true;
        };
        let mut state = self.lock();
        (state.closed, state.done) = (true, true);
        state.lines.clear();
        self.changed.notify_all();
        outcome
    }

    fn next(&self) -> Option<Line> {
        let must_wait = |state: &mut State| state.lines.is_empty() && !state.closed;
        let state = self.changed.wait_while(self.lock(), must_wait);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let line = state.lines.pop_front()?;
        state.bytes -= line.len();
        Some(line)
    }

    /// Accepts no more lines; the queued ones are still delivered.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits until delivery has ended; false when `timeout` passed before.
    pub fn wait_done(&self, timeout: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |state| !state.done);
        waited.unwrap_or_else(PoisonError::into_inner).0.done
    }

    /// Whether the limit was exceeded.
    pub fn has_overflowed(&self) -> bool {
        self.lock().overflowed
    }

    /// Whether the queue is more than half full.
    pub fn is_half_full(&self) -> bool {
        let state = self.lock();
        state.lines.len() * 2 > MAX_LINES || state.bytes * 2 > MAX_BYTES
    }

    /// Whether a line was delivered since this was last called.
    pub fn take_delivered(&self) -> bool {
        std::mem::take(&mut self.lock().has_delivered)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rng::TestRng;

    #[test]
    fn lines_are_delivered_completely_and_in_order() {
        let queue = Arc::new(LineQueue::default());
        let member = std::thread::spawn({
            let queue = queue.clone();
            move || {
                let mut received = Vec::new();
                let done = queue.deliver_all(|line| {
                    received.extend_from_slice(line);
                    Ok::<(), ()>(())
                });
                done.map(|()| received)
            }
        });
        for line in ["a", "b", "c"] {
            assert!(queue.push(&Line::from(line.as_bytes())));
        }
        queue.close();
        assert!(queue.wait_done(Duration::from_secs(20)));
        assert_eq!(member.join().unwrap(), Ok(b"abc".to_vec()));
        assert!(queue.take_delivered() && !queue.take_delivered());
    }

    /// Three senders, a member and a close, with random pauses: a lost wake-up would leave
    /// `wait_done` waiting for its timeout.
    #[test]
    fn close_concurrent_with_pushes_loses_no_wake_up() {
        let mut rng = TestRng::new();
        for round in 0..300 {
            let queue = Arc::new(LineQueue::default());
            std::thread::scope(|scope| {
                let member = scope.spawn(|| {
                    let mut received = 0;
                    let done = queue.deliver_all(|line| {
                        received += line.len();
                        Ok::<(), ()>(())
                    });
                    (done, received)
                });
                let senders: Vec<_> = (0..3)
                    .map(|_| {
                        let (queue, mut rng) = (&queue, rng.split());
                        scope.spawn(move || {
                            for _ in 0..5 {
                                rng.random_pause();
                                assert!(queue.push(&Line::from(&b"line"[..])));
                            }
                        })
                    })
                    .collect();
                senders.into_iter().for_each(|sender| sender.join().unwrap());
                queue.close();
                assert!(queue.wait_done(Duration::from_secs(20)), "round {round}");
                assert_eq!(member.join().unwrap(), (Ok(()), 60), "round {round}");
            });
        }
    }

    #[test]
    fn queue_over_its_limit_of_lines_or_bytes_has_overflowed() {
        for (line, max) in [(1, MAX_LINES), (MAX_BYTES / 4, 4)] {
            let queue = LineQueue::default();
            let line = Line::from(vec![0; line]);
            assert!((0..max).all(|_| queue.push(&line)));
            assert!(!queue.push(&line) && !queue.push(&line));
            assert!(queue.has_overflowed());
        }
    }

    #[test]
    fn queue_is_half_full_before_it_overflows() {
        let queue = LineQueue::default();
        let line = Line::from(vec![0; 1]);
        let half = (0..MAX_LINES).take_while(|_| !queue.is_half_full() && queue.push(&line));
        assert_eq!(half.count(), MAX_LINES / 2 + 1);
        assert!(!queue.has_overflowed());
    }

    #[test]
    fn push_lossy_never_overflows() {
        let queue = LineQueue::default();
        let line = Line::from(vec![0; 1]);
        (0..MAX_LINES * 2).for_each(|_| queue.push_lossy(&line));
        assert!(!queue.has_overflowed());
    }
}
