//! Whether a connection is idle: set by the thread that serves it, read by the drain of its server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a peer that streams, or has sent nothing yet, must have sent nothing to count as
/// idle: the first request of a new connection may be in flight.
pub const IDLE_AFTER: Duration = Duration::from_millis(300);

/// Whether a connection waits for its peer and and has no unanswered request. Clones share the state.
#[derive(Debug, Clone)]
pub struct Activity(Arc<State>);

#[derive(Debug)]
struct State {
    began: Instant,
    /// Milliseconds from `began` to the start of the current read, or [`BUSY`].
    waiting_since: AtomicU64,
    /// The peer sends a stream: a pause does not mean that it has finished.
    is_stream: AtomicBool,
    /// The peer has sent something.
    has_received: AtomicBool,
}

/// No read is in progress.
const BUSY: u64 = u64::MAX;

impl Default for Activity {
    fn default() -> Activity {
        Activity(Arc::new(State {
            began: Instant::now(),
            waiting_since: AtomicU64::new(BUSY),
            is_stream: AtomicBool::new(false),
            has_received: AtomicBool::new(false),
        }))
    }
}

impl Activity {
    /// Runs a read that may block; the connection may count as idle while it does.
    pub fn while_waiting<T>(&self, read: impl FnOnce() -> T) -> T {
        // Between requests it does not matter how long the read has been waiting.
        let now = if self.expects_request() { 0 } else { self.milliseconds() };
        self.0.waiting_since.store(now, Ordering::SeqCst);
        let done = read();
        self.0.waiting_since.store(BUSY, Ordering::SeqCst);
        done
    }

    /// Marks the peer's bytes as one stream, not requests: it is idle only after [`IDLE_AFTER`].
    pub fn set_stream(&self) {
        self.0.is_stream.store(true, Ordering::SeqCst);
    }

    /// Records that the peer has sent something: from now on a wait for a request is idle.
    pub fn set_received(&self) {
        self.0.has_received.store(true, Ordering::SeqCst);
    }

    /// Whether the current read has waited long enough to mean that nothing is in flight.
    pub fn is_idle(&self) -> bool {
        match self.0.waiting_since.load(Ordering::SeqCst) {
            BUSY => false,
            _ if self.expects_request() => true,
            since => self.milliseconds().saturating_sub(since) >= IDLE_AFTER.as_millis() as u64,
        }
    }

    fn expects_request(&self) -> bool {
        self.0.has_received.load(Ordering::SeqCst) && !self.0.is_stream.load(Ordering::SeqCst)
    }

    fn milliseconds(&self) -> u64 {
        self.0.began.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_connection_is_idle_only_after_a_pause() {
        let activity = Activity::default();
        activity.while_waiting(|| assert!(!activity.is_idle()));
        activity.set_received();
        activity.while_waiting(|| assert!(activity.is_idle()));
        activity.set_stream();
        activity.while_waiting(|| assert!(!activity.is_idle()));
        assert!(!activity.is_idle());
    }
}
