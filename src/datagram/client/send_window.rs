//! Limits the datagrams sent ahead of their replies.
//!
//! A file sent to an echo server without a limit overflows a receive buffer, and of two requests
//! sent together, a threaded server may answer the second first.

use std::time::{Duration, Instant};

/// Counts datagrams without a reply. A peer that does not reply is waited for once only.
#[derive(Debug)]
pub struct SendWindow {
    /// Datagrams in flight before a reply is waited for.
    max_in_flight: u64,
    /// How long to wait before those in flight count as lost.
    timeout: Duration,
    in_flight: u64,
    full_since: Option<Instant>,
    unresponsive: bool,
}

impl SendWindow {
    /// One request at a time.
    pub fn request_reply() -> SendWindow {
        SendWindow::new(1, Duration::from_millis(100))
    }

    /// As many datagrams as fit into a default receive buffer.
    pub fn bulk() -> SendWindow {
        SendWindow::new(32, Duration::from_millis(10))
    }

    /// No limit.
    pub fn unlimited() -> SendWindow {
        SendWindow::new(u64::MAX, Duration::ZERO)
    }

    fn new(max_in_flight: u64, timeout: Duration) -> SendWindow {
        SendWindow { max_in_flight, timeout, in_flight: 0, full_since: None, unresponsive: false }
    }

    /// Counts a datagram that was sent.
    pub fn on_sent(&mut self) {
        self.in_flight += 1;
    }

    /// Counts a reply.
    pub fn on_reply(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.full_since = None;
        self.unresponsive = false;
    }

    /// How long to wait for a reply; `None` if the next datagram may be sent.
    pub fn blocked_until(&mut self, now: Instant) -> Option<Instant> {
        if self.unresponsive || self.in_flight < self.max_in_flight {
            return None;
        }
        let deadline = *self.full_since.get_or_insert(now) + self.timeout;
        if now < deadline {
            return Some(deadline);
        }
        *self =
            SendWindow { unresponsive: true, ..SendWindow::new(self.max_in_flight, self.timeout) };
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_opens_window_and_timeout_is_waited_once() {
        let mut window = SendWindow::bulk();
        let (max, timeout, now) = (window.max_in_flight, window.timeout, Instant::now());
        (0..max).for_each(|_| window.on_sent());
        assert!(window.blocked_until(now).is_some());
        window.on_reply();
        assert_eq!(window.blocked_until(now), None);
        window.on_sent();
        assert!(window.blocked_until(now).is_some());
        assert_eq!(window.blocked_until(now + timeout), None);
        (0..max * 3).for_each(|_| window.on_sent());
        assert_eq!(window.blocked_until(now), None, "an unresponsive peer is not waited for again");
        window.on_reply();
        assert!(window.blocked_until(now).is_some(), "a peer that replies again is");
    }
}
