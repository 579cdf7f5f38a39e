//! The count of the bytes of one direction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts the bytes of one direction, readable from any thread.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Count>);

#[derive(Debug)]
struct Count {
    bytes: AtomicU64,
    in_flight: AtomicBool,
    started: Instant,
    /// Nanoseconds from `started` to the last byte.
    moved_at: AtomicU64,
}

impl Default for Count {
    fn default() -> Count {
        Count {
            bytes: AtomicU64::new(0),
            in_flight: AtomicBool::new(false),
            started: Instant::now(),
            moved_at: AtomicU64::new(0),
        }
    }
}

impl Meter {
    /// Counts `bytes` more.
    pub fn add(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let moved_at = self.0.started.elapsed().as_nanos() as u64;
        self.0.moved_at.store(moved_at, Ordering::Relaxed);
    }

    /// Bytes so far.
    pub fn total(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// When bytes were last counted, or the meter was created.
    pub fn moved_at(&self) -> Instant {
        self.0.started + Duration::from_nanos(self.0.moved_at.load(Ordering::Relaxed))
    }

    /// Whether bytes were read from the source that are not delivered yet.
    pub fn has_in_flight(&self) -> bool {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn set_in_flight(&self, in_flight: bool) {
        self.0.in_flight.store(in_flight, Ordering::Relaxed);
    }
}
