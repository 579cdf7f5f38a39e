//! How far a client may run ahead of the answers. A file sent to an echo would be lost in somebody's
//! receive buffer; and of two questions asked at once, a server with threads may answer the second
//! first.

use std::time::{Duration, Instant};

/// Counts what is under way. A peer that never answers is not waited for a second time.
#[derive(Debug)]
pub struct Window {
    /// Datagrams under way before an answer is waited for.
    ahead: u64,
    /// How long, before those under way count as lost, or as not to be answered.
    patience: Duration,
    under_way: u64,
    full_since: Option<Instant>,
    silent: bool,
}

impl Window {
    /// One question at a time, as in a talk.
    pub fn request_reply() -> Window {
        Window::new(1, Duration::from_millis(100))
    }

    /// Bulk: as much as a receive buffer holds without effort.
    pub fn bulk() -> Window {
        Window::new(32, Duration::from_millis(10))
    }

    /// No answer is waited for.
    pub fn without_answers() -> Window {
        Window::new(u64::MAX, Duration::ZERO)
    }

    fn new(ahead: u64, patience: Duration) -> Window {
        Window { ahead, patience, under_way: 0, full_since: None, silent: false }
    }

    /// One was sent.
    pub fn sent(&mut self) {
        self.under_way += 1;
    }

    /// One was answered.
    pub fn on_reply(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
        self.full_since = None;
        self.silent = false;
    }

    /// The moment until which an answer must be waited for; nothing when the next may be sent.
    pub fn blocked_until(&mut self, now: Instant) -> Option<Instant> {
        if self.silent || self.under_way < self.ahead {
            return None;
        }
        let until = *self.full_since.get_or_insert(now) + self.patience;
        if now < until {
            return Some(until);
        }
        *self = Window { silent: true, ..Window::new(self.ahead, self.patience) };
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_open_it_and_silence_is_waited_for_once() {
        let mut window = Window::bulk();
        let (ahead, patience) = (window.ahead, window.patience);
        let now = Instant::now();
        (0..ahead).for_each(|_| window.sent());
        assert!(window.blocked_until(now).is_some());
        window.on_reply();
        assert_eq!(window.blocked_until(now), None);
        window.sent();
        assert!(window.blocked_until(now).is_some());
        assert_eq!(window.blocked_until(now + patience), None);
        (0..ahead * 3).for_each(|_| window.sent());
        assert_eq!(window.blocked_until(now), None, "a silent peer is not waited for again");
        window.on_reply();
        assert!(window.blocked_until(now).is_some(), "one that answers again is");
    }
}
