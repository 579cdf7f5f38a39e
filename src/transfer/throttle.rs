//! Holding a flow back to a rate.

use std::time::{Duration, Instant};

/// `--rate`: so many bytes a second, on the average since the beginning, in pieces small enough
/// that the flow looks even.
#[derive(Debug)]
pub struct Throttle {
    bytes_per_second: u64,
    began: Option<Instant>,
    moved: u64,
}

/// Pieces a second.
const PIECES: u64 = 20;
/// After a stall of the far end the lost time is not made up for beyond this much.
const MAX_CATCH_UP: Duration = Duration::from_millis(200);

impl Throttle {
    /// At most `bytes_per_second`, which is not 0.
    pub fn new(bytes_per_second: u64) -> Throttle {
        Throttle { bytes_per_second, began: None, moved: 0 }
    }

    /// The largest piece that keeps the flow even, in bytes.
    pub fn chunk_size(&self) -> usize {
        usize::try_from(self.bytes_per_second / PIECES).unwrap_or(usize::MAX).max(1)
    }

    /// Sleeps until `bytes` more may go.
    pub fn wait_for(&mut self, bytes: usize) {
        std::thread::sleep(self.delay());
        self.count(bytes);
    }

    /// How long the next byte must wait.
    pub fn delay(&mut self) -> Duration {
        let now = Instant::now();
        let began = *self.began.get_or_insert(now);
        let due = began + self.time_for(self.moved);
        if now.saturating_duration_since(due) > MAX_CATCH_UP {
            self.began = Some(now);
            self.moved = 0;
        }
        due.saturating_duration_since(now)
    }

    /// Counts bytes that have moved.
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
    fn so_many_bytes_take_so_long() {
        let mut pace = Throttle::new(1_000_000);
        let began = Instant::now();
        for _ in 0..5 {
            pace.wait_for(pace.chunk_size());
        }
        // The first piece goes at once, the other four wait a twentieth of a second each.
        assert!(began.elapsed() >= Duration::from_millis(200));
    }
}
