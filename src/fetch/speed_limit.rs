//! `--speed-limit` and `--speed-time`: the least average speed of a peer.

use std::collections::VecDeque;
use std::time::Duration;

/// Samples in one window.
const SAMPLES: u32 = 10;
/// The least time between two samples.
const SHORTEST: Duration = Duration::from_millis(1);

/// Bytes per second over a sliding window.
///
/// The clock runs only while the peer is waited for, so that neither a slow reader of our output
/// nor `--rate` counts as slowness of the peer.
#[derive(Debug)]
pub struct Speed {
    least: u64,
    window: Duration,
    waited: Duration,
    /// The clock and the bytes received by then, oldest first.
    samples: VecDeque<(Duration, u64)>,
}

impl Speed {
    /// At least `least` bytes per second, averaged over `window`; neither is 0.
    pub fn new(least: u64, window: Duration) -> Speed {
        Speed { least, window, waited: Duration::ZERO, samples: VecDeque::new() }
    }

    /// How exactly the end of patience is to be noticed.
    pub fn period(&self) -> Duration {
        (self.window / SAMPLES).max(SHORTEST)
    }

    /// Adds time in which the peer was waited for.
    pub fn add(&mut self, waited: Duration) {
        self.waited += waited;
    }

    /// How much longer the peer may be waited for when `total` bytes have come; zero when it is
    /// too slow.
    pub fn patience(&mut self, total: u64) -> Duration {
        let (now, window) = (self.waited, self.window);
        while self.samples.get(1).is_some_and(|(at, _)| *at + window <= now) {
            self.samples.pop_front();
        }
        if self.samples.back().is_none_or(|(at, _)| *at + self.period() <= now) {
            self.samples.push_back((now, total));
        }
        let enough = self.least as f64 * window.as_secs_f64();
        let is_slow = |before: u64| (total.saturating_sub(before) as f64) < enough;
        let slow = self.samples.iter().find(|(_, before)| is_slow(*before));
        slow.map_or(window, |(at, _)| (*at + window).saturating_sub(now))
    }

    /// What a peer that is too slow is charged with.
    pub fn words(&self) -> String {
        let window = humantime::format_duration(self.window);
        format!("slower than {} bytes/s over {window} (--speed-limit)", self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// When a peer that brings `bytes` at the end of each second is given up, in seconds.
    fn given_up(bytes: impl Fn(u64) -> u64) -> Option<u64> {
        let mut speed = Speed::new(100, 5 * SECOND);
        let mut total = 0;
        for second in 0..100 {
            if speed.patience(total) <= Duration::ZERO {
                return Some(second);
            }
            speed.add(SECOND);
            total += bytes(second);
        }
        None
    }

    #[test]
    fn slow_peer_is_given_up_after_window() {
        assert_eq!(given_up(|_| 0), Some(5));
        assert_eq!(given_up(|_| 99), Some(5));
        assert_eq!(given_up(|_| 100), None);
        // The average counts, not its even spread.
        assert_eq!(given_up(|second| if second % 4 == 0 { 500 } else { 0 }), None);
        // A burst is forgotten after one window.
        assert_eq!(given_up(|second| if second == 0 { 1 << 30 } else { 1 }), Some(6));
    }

    #[test]
    fn shortest_window_keeps_few_samples() {
        let mut speed = Speed::new(1, Duration::from_nanos(1));
        for total in 0..1000 {
            speed.patience(total);
            speed.add(Duration::from_nanos(1));
        }
        assert!(speed.samples.len() <= 2 && !speed.period().is_zero());
    }

    #[test]
    fn silent_peer_is_waited_for_no_longer_than_window() {
        let mut speed = Speed::new(100, 5 * SECOND);
        assert_eq!(speed.patience(0), 5 * SECOND);
        speed.add(2 * SECOND);
        assert_eq!(speed.patience(0), 3 * SECOND);
        // Enough for the window that began with the run, not for one that begins now.
        assert_eq!(speed.patience(500), 5 * SECOND);
    }
}
