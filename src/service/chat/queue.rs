//! Lines on their way to one listener: bounded, so that one who does not listen costs what fits
//! in here and nobody's time.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines that may wait for one listener.
const MOST_LINES: usize = 1024;
/// Bytes that may wait for one listener.
const MOST_BYTES: usize = 1 << 20;

/// A line, shared by all who are to hear it.
pub type Line = Arc<[u8]>;

/// The lines that wait for one listener.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Line>,
    bytes: usize,
    /// No more lines will come.
    closed: bool,
    /// All lines have been delivered, or never will be.
    done: bool,
    /// The listener fell behind and lost its place.
    overflowed: bool,
    /// Something was delivered since somebody last asked.
    moved: bool,
}

impl Queue {
    /// Puts a line in; false when there is no room, and then never again.
    pub fn push(&self, line: &Line) -> bool {
        let mut state = self.lock();
        if state.closed {
            return !state.overflowed;
        }
        state.bytes += line.len();
        state.lines.push_back(line.clone());
        if state.bytes > MOST_BYTES || state.lines.len() > MOST_LINES {
            *state = State { closed: true, overflowed: true, ..State::default() };
        }
        self.changed.notify_all();
        !state.overflowed
    }

    /// As [`Queue::push`], for a listener that may miss lines but not its place.
    pub fn offer(&self, line: &Line) {
        let mut state = self.lock();
        let fits = state.bytes + line.len() <= MOST_BYTES && state.lines.len() < MOST_LINES;
        if fits && !state.closed {
            state.bytes += line.len();
            state.lines.push_back(line.clone());
            self.changed.notify_all();
        }
    }

    /// Hands each line to `deliver` until the queue is closed and empty, or a delivery fails.
    pub fn run<E>(&self, mut deliver: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let outcome = loop {
            let Some(line) = self.next() else { break Ok(()) };
            if let Err(e) = deliver(&line) {
                break Err(e);
            }
            self.lock().moved = true;
        };
        let mut state = self.lock();
        (state.closed, state.done) = (true, true);
        state.lines.clear();
        self.changed.notify_all();
        outcome
    }

    fn next(&self) -> Option<Line> {
        let waits = |state: &mut State| state.lines.is_empty() && !state.closed;
        let state = self.changed.wait_while(self.lock(), waits);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let line = state.lines.pop_front()?;
        state.bytes -= line.len();
        Some(line)
    }

    /// No more lines: waits until those that are in have been delivered, at most for `limit`;
    /// false when it passed.
    pub fn close(&self, limit: Duration) -> bool {
        self.lock().closed = true;
        self.changed.notify_all();
        self.wait(limit)
    }

    /// Waits at most for `limit` until no more lines can be delivered; false when it passed.
    pub fn wait(&self, limit: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), limit, |state| !state.done);
        waited.unwrap_or_else(PoisonError::into_inner).0.done
    }

    /// Whether the listener fell behind and lost its place.
    pub fn is_overrun(&self) -> bool {
        self.lock().overflowed
    }

    /// Whether more than half of the room is taken.
    pub fn is_half_full(&self) -> bool {
        let state = self.lock();
        state.lines.len() * 2 > MOST_LINES || state.bytes * 2 > MOST_BYTES
    }

    /// Whether something was delivered since this was last asked.
    pub fn has_moved(&self) -> bool {
        std::mem::take(&mut self.lock().moved)
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
    fn lines_come_out_as_they_went_in_and_all_of_them() {
        let queue = Arc::new(Queue::default());
        let listener = std::thread::spawn({
            let queue = queue.clone();
            move || {
                let mut heard = Vec::new();
                let done = queue.run(|line| {
                    heard.extend_from_slice(line);
                    Ok::<(), ()>(())
                });
                done.map(|()| heard)
            }
        });
        for line in ["a", "b", "c"] {
            assert!(queue.push(&Line::from(line.as_bytes())));
        }
        assert!(queue.close(Duration::from_secs(20)));
        assert_eq!(listener.join().unwrap(), Ok(b"abc".to_vec()));
        assert!(queue.has_moved() && !queue.has_moved());
    }

    /// Many rooms' worth of speakers, a listener and a close, with random pauses: a lost wake-up
    /// would leave `close` waiting for its limit.
    #[test]
    fn no_wake_up_is_lost_however_speakers_and_the_end_fall_together() {
        let mut chance = TestRng::new();
        for round in 0..300 {
            let queue = Arc::new(Queue::default());
            std::thread::scope(|scope| {
                let listener = scope.spawn(|| {
                    let mut heard = 0;
                    let done = queue.run(|line| {
                        heard += line.len();
                        Ok::<(), ()>(())
                    });
                    (done, heard)
                });
                let speakers: Vec<_> = (0..3)
                    .map(|_| {
                        let (queue, mut chance) = (&queue, chance.split());
                        scope.spawn(move || {
                            for _ in 0..5 {
                                chance.random_pause();
                                assert!(queue.push(&Line::from(&b"line"[..])));
                            }
                        })
                    })
                    .collect();
                speakers.into_iter().for_each(|speaker| speaker.join().unwrap());
                assert!(queue.close(Duration::from_secs(20)), "round {round}");
                assert_eq!(listener.join().unwrap(), (Ok(()), 60), "round {round}");
            });
        }
    }

    #[test]
    fn who_falls_behind_loses_the_place_by_lines_and_by_bytes() {
        for (line, most) in [(1, MOST_LINES), (MOST_BYTES / 4, 4)] {
            let queue = Queue::default();
            let line = Line::from(vec![0; line]);
            assert!((0..most).all(|_| queue.push(&line)));
            assert!(!queue.push(&line) && !queue.push(&line));
            assert!(queue.is_overrun());
        }
    }

    #[test]
    fn half_of_the_room_is_told_before_the_rest_is_taken() {
        let queue = Queue::default();
        let line = Line::from(vec![0; 1]);
        let half = (0..MOST_LINES).take_while(|_| !queue.is_half_full() && queue.push(&line));
        assert_eq!(half.count(), MOST_LINES / 2 + 1);
        assert!(!queue.is_overrun());
    }

    #[test]
    fn who_may_miss_lines_keeps_the_place() {
        let queue = Queue::default();
        let line = Line::from(vec![0; 1]);
        (0..MOST_LINES * 2).for_each(|_| queue.offer(&line));
        assert!(!queue.is_overrun());
    }
}
