//! Limits the rate of a transfer.

use std::time::{Duration, Instant};

/// `--rate`: bytes per second, on average since the start, in chunks small enough for an even
/// rate.
#[derive(Debug)]
pub struct Throttle {
    bytes_per_second: u64,
    started: Option<Instant>,
    moved: u64,
}

/// Chunks per second.
const CHUNKS_PER_SECOND: u64 = 20;
/// How much time is made up for at most after the peer has stalled.
const MAX_CATCH_UP: Duration = Duration::from_millis(200);

impl Throttle {
    /// A limit of `bytes_per_second`, which is not 0.
    pub fn new(bytes_per_second: u64) -> Throttle {
        Throttle { bytes_per_second, started: None, moved: 0 }
    }

    /// The largest chunk that keeps the rate even, in bytes.
    pub fn chunk_size(&self) -> usize {
        usize::try_from(self.bytes_per_second / CHUNKS_PER_SECOND).unwrap_or(usize::MAX).max(1)
    }

    /// Sleeps until the next bytes may be transferred, and counts `bytes`.
    pub fn wait_for(&mut self, bytes: usize) {
        std::thread::sleep(self.delay());
        self.count(bytes);
    }

    /// How long the next byte has to wait.
    pub fn delay(&mut self) -> Duration {
        let now = Instant::now();
        let started = *self.started.get_or_insert(now);
        let due = started + self.time_for(self.moved);
        if now.saturating_duration_since(due) > MAX_CATCH_UP {
            self.started = Some(now);
            self.moved = 0;
        }
        due.saturating_duration_since(now)
    }

    /// Counts transferred bytes.
    pub fn count(&mut self, bytes: usize) {
        self.moved += bytes as u64;
    }

    fn time_for(&self, bytes: u64) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_the_time_of_their_rate() {
        let mut throttle = Throttle::new(1_000_000);
        let started = Instant::now();
        for _ in 0..5 {
            throttle.wait_for(throttle.chunk_size());
        }
        // The first chunk goes immediately, the other four wait a twentieth of a second each.
        assert!(started.elapsed() >= Duration::from_millis(200));
    }
}
