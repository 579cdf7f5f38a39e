//! How far a client may run ahead of the answers: without this, a file sent to an echo would be
//! lost in somebody's receive buffer.

use std::time::{Duration, Instant};

/// Datagrams under way before we wait for an answer.
const AHEAD: u64 = 32;
/// How long an answer is waited for before those under way count as lost, or as not to be answered.
const PATIENCE: Duration = Duration::from_millis(10);

/// Counts what is under way. A peer that never answers is not waited for a second time.
#[derive(Debug, Default)]
pub struct Window {
    under_way: u64,
    full_since: Option<Instant>,
    silent: bool,
}

impl Window {
    /// One was sent.
    pub fn sent(&mut self) {
        self.under_way += 1;
    }

    /// One was answered.
    pub fn heard(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
        self.full_since = None;
        self.silent = false;
    }

    /// The moment until which an answer must be waited for; nothing when the next may be sent.
    pub fn closed_until(&mut self, now: Instant) -> Option<Instant> {
        if self.silent || self.under_way < AHEAD {
            return None;
        }
        let until = *self.full_since.get_or_insert(now) + PATIENCE;
        if now < until {
            return Some(until);
        }
        *self = Window { silent: true, ..Window::default() };
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_open_it_and_silence_is_waited_for_once() {
        let mut window = Window::default();
        let now = Instant::now();
        (0..AHEAD).for_each(|_| window.sent());
        assert!(window.closed_until(now).is_some());
        window.heard();
        assert_eq!(window.closed_until(now), None);
        window.sent();
        assert!(window.closed_until(now).is_some());
        assert_eq!(window.closed_until(now + PATIENCE), None);
        (0..AHEAD * 3).for_each(|_| window.sent());
        assert_eq!(window.closed_until(now), None, "a silent peer is not waited for again");
        window.heard();
        assert!(window.closed_until(now).is_some(), "one that answers again is");
    }
}
