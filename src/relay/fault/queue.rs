//! The queue between the thread that reads a direction and the one that writes it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::piece::Piece;

/// Bytes in the queue at most: what a delay may hold.
const MAX_BYTES: usize = 64 << 20;
/// Bytes in the queue at most while the receiver is slower than the faults.
const MAX_OVERDUE_BYTES: usize = 1 << 20;

/// Pieces in the order of their delivery.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// The source failed after the pieces in the queue.
    error: Option<io::Error>,
    is_written: bool,
    is_read: bool,
}

/// What the writer finds.
pub(super) enum Next {
    /// A piece that is due.
    Due(Piece),
    /// Nothing yet.
    Wait,
    /// Nothing any more: the reader has stopped without an end.
    Stopped,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends pieces.
    pub(super) fn push(&self, pieces: Vec<Piece>) {
        let mut state = self.lock();
        state.bytes += pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>();
        state.pieces.extend(pieces);
        self.changed.notify_all();
    }

    /// Waits until there is room and `until` has passed; `false` once pieces are not taken any more.
    pub(super) fn wait_for_room(&self, until: Option<Instant>) -> bool {
        let mut state = self.lock();
        while !state.is_read {
            let now = Instant::now();
            let wait = until.map(|until| until.saturating_duration_since(now));
            if wait.is_none_or(|wait| wait.is_zero()) && !state.is_full(now) {
                return true;
            }
            state = self.wait(state, wait.filter(|wait| !wait.is_zero()));
        }
        false
    }

    /// Waits for a change, at most for `time`.
    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        time: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        let changed = &self.changed;
        match time {
            None => changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(time) => {
                changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// Removes the first piece if it is due. Otherwise waits: for the first piece, or until it is due,
    /// at most for `time`.
    pub(super) fn next(&self, time: Duration) -> Next {
        let mut state = self.lock();
        let wait =
            state.pieces.front().map(|piece| piece.due.saturating_duration_since(Instant::now()));
        if wait == Some(Duration::ZERO)
            && let Some(piece) = state.pieces.pop_front()
        {
            state.bytes -= piece.bytes.len();
            self.changed.notify_all();
            return Next::Due(piece);
        }
        if wait.is_none() && state.is_written {
            return Next::Stopped;
        }
        drop(self.wait(state, wait.map(|wait| wait.min(time))));
        Next::Wait
    }

    /// Records why the source failed.
    pub(super) fn fail(&self, error: io::Error) {
        self.lock().error = Some(error);
    }

    /// The error of the source.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        self.lock().error.take()
    }

    /// Ends the reader's part: no more pieces come.
    pub(super) fn stop_writing(&self) {
        self.lock().is_written = true;
        self.changed.notify_all();
    }

    /// Ends the writer's part: pieces are not taken any more.
    pub(super) fn stop_reading(&self) {
        let mut state = self.lock();
        state.is_read = true;
        state.pieces.clear();
        state.bytes = 0;
        self.changed.notify_all();
    }
}

impl State {
    fn is_full(&self, now: Instant) -> bool {
        let is_overdue = self.pieces.front().is_some_and(|piece| piece.due < now);
        self.bytes >= if is_overdue { MAX_OVERDUE_BYTES } else { MAX_BYTES }
    }
}
