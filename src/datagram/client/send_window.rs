//! The datagrams sent and answered so far, and a limit for those sent ahead of their replies.
//!
//! A file sent to an echo server without a limit overflows a receive buffer, and of two requests
//! sent together, a threaded server may answer the second first.

use std::time::{Duration, Instant};

/// Datagrams kept to be sent again to another address while the peer has not replied.
const MAX_UNACKED: usize = 64;

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
    /// Datagrams sent.
    pub sent: u64,
    /// Replies received.
    pub received: u64,
    /// The first datagrams sent, until there is a reply.
    unacked: Vec<Vec<u8>>,
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
        SendWindow {
            max_in_flight,
            timeout,
            in_flight: 0,
            full_since: None,
            unresponsive: false,
            sent: 0,
            received: 0,
            unacked: Vec::new(),
        }
    }

    /// Counts a datagram that was sent.
    pub fn on_sent(&mut self, bytes: Vec<u8>) {
        self.in_flight += 1;
        self.sent += 1;
        if self.received == 0 && self.unacked.len() < MAX_UNACKED {
            self.unacked.push(bytes);
        }
    }

    /// All datagrams sent; `None` after a reply, or if there are more than are kept.
    pub fn unacked(&self) -> Option<&[Vec<u8>]> {
        let is_complete = self.received == 0 && self.sent == self.unacked.len() as u64;
        is_complete.then_some(&self.unacked)
    }

    /// Counts a reply.
    pub fn on_reply(&mut self) {
        self.received += 1;
        self.unacked.clear();
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
        (self.in_flight, self.full_since, self.unresponsive) = (0, None, true);
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
        (0..max).for_each(|_| window.on_sent(Vec::new()));
        assert!(window.blocked_until(now).is_some());
        window.on_reply();
        assert_eq!(window.blocked_until(now), None);
        window.on_sent(Vec::new());
        assert!(window.blocked_until(now).is_some());
        assert_eq!(window.blocked_until(now + timeout), None);
        (0..max * 3).for_each(|_| window.on_sent(Vec::new()));
        assert_eq!(window.blocked_until(now), None, "an unresponsive peer is not waited for again");
        window.on_reply();
        assert!(window.blocked_until(now).is_some(), "a peer that replies again is");
    }

    #[test]
    fn datagrams_are_kept_until_a_reply_or_too_many() {
        let mut window = SendWindow::unlimited();
        (0..MAX_UNACKED).for_each(|_| window.on_sent(b"a".to_vec()));
        assert_eq!(window.unacked().map(<[_]>::len), Some(MAX_UNACKED));
        window.on_sent(b"a".to_vec());
        assert_eq!((window.unacked(), window.sent), (None, MAX_UNACKED as u64 + 1));
        let mut window = SendWindow::unlimited();
        window.on_sent(b"a".to_vec());
        window.on_reply();
        assert_eq!((window.unacked(), window.received), (None, 1));
    }
}
