//! Observes the bytes of a transfer.

use std::sync::{Arc, Mutex, PoisonError};

/// The direction of observed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapDirection {
    /// From us to the peer.
    Sent,
    /// From the peer to us.
    Received,
}

/// Observes both directions of a session.
pub trait TapSink: Send {
    /// Called with the next bytes of one direction.
    fn on_bytes(&mut self, direction: TapDirection, bytes: &[u8]);
}

/// Several sinks, each of which observes all bytes.
impl TapSink for Vec<Box<dyn TapSink>> {
    fn on_bytes(&mut self, direction: TapDirection, bytes: &[u8]) {
        self.iter_mut().for_each(|sink| sink.on_bytes(direction, bytes));
    }
}

/// The taps of both directions.
#[derive(Default)]
pub struct Taps {
    /// Observes sent bytes.
    pub sent: Option<Tap>,
    /// Observes received bytes.
    pub received: Option<Tap>,
}

impl Taps {
    /// Two taps that pass everything to `sink`.
    pub fn new(sink: impl TapSink + 'static) -> Taps {
        let sink: Arc<Mutex<dyn TapSink>> = Arc::new(Mutex::new(sink));
        let tap = |direction| Some(Tap { direction, sink: sink.clone() });
        Taps { sent: tap(TapDirection::Sent), received: tap(TapDirection::Received) }
    }
}

/// Passes the bytes of one direction to a [`TapSink`].
pub struct Tap {
    direction: TapDirection,
    sink: Arc<Mutex<dyn TapSink>>,
}

impl Tap {
    /// Passes the next bytes.
    pub fn on_bytes(&mut self, bytes: &[u8]) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.on_bytes(self.direction, bytes);
    }
}
