//! Watching a flow without touching it.

use std::sync::{Arc, Mutex, PoisonError};

/// Which way watched bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From us to the peer.
    Sent,
    /// From the peer to us.
    Received,
}

/// Whoever watches both directions of a conversation.
pub trait TapSink: Send {
    /// Sees the next bytes of one direction.
    fn on_bytes(&mut self, direction: Direction, bytes: &[u8]);
}

/// One direction's line to a watcher.
#[derive(Clone)]
pub struct Tap {
    direction: Direction,
    watcher: Arc<Mutex<dyn TapSink>>,
}

impl Tap {
    /// A tap for each direction.
    pub fn pair(watcher: impl TapSink + 'static) -> (Tap, Tap) {
        let watcher: Arc<Mutex<dyn TapSink>> = Arc::new(Mutex::new(watcher));
        let tap = |direction| Tap { direction, watcher: watcher.clone() };
        (tap(Direction::Sent), tap(Direction::Received))
    }

    /// Shows the next bytes.
    pub fn on_bytes(&mut self, bytes: &[u8]) {
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        watcher.on_bytes(self.direction, bytes);
    }
}
