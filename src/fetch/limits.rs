//! The time and speed limits of one exchange: `--idle-timeout`, `--rate`, `--speed-limit`.

use std::collections::VecDeque;
use std::time::Duration;

use super::options::LimitOptions;
use crate::error::{ExitCode, Failure, Phase};
use crate::transfer::throttle::Throttle;

/// Samples in one window.
const SAMPLES: u32 = 10;
/// The shortest time between two samples.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

/// Time and speed limits, with what has been measured of them.
#[derive(Debug)]
pub struct Limits {
    pub idle_timeout: Option<Duration>,
    pub throttle: Option<Throttle>,
    pub min_speed: Option<SpeedLimit>,
}

impl Limits {
    pub fn new(options: &LimitOptions) -> Limits {
        Limits {
            idle_timeout: options.idle_timeout,
            throttle: options.max_rate.map(Throttle::new),
            min_speed: options.min_rate.map(|(rate, window)| SpeedLimit::new(rate, window)),
        }
    }
}

/// A minimum of bytes per second over a sliding window.
///
/// The clock runs only while waiting for the peer, so that neither a slow reader of stdout nor
/// `--rate` counts as slowness of the peer.
#[derive(Debug)]
pub struct SpeedLimit {
    min_rate: u64,
    window: Duration,
    /// The clock.
    pub waited: Duration,
    /// The clock and the bytes received by then, oldest first.
    samples: VecDeque<(Duration, u64)>,
}

impl SpeedLimit {
    /// At least `min_rate` bytes per second, averaged over `window`; neither is 0.
    fn new(min_rate: u64, window: Duration) -> SpeedLimit {
        SpeedLimit { min_rate, window, waited: Duration::ZERO, samples: VecDeque::new() }
    }

    /// The time between two samples.
    fn sample_interval(&self) -> Duration {
        (self.window / SAMPLES).max(MIN_INTERVAL)
    }

    /// How much longer to wait for the peer when `total` bytes have been received; zero when it is
    /// too slow.
    pub fn remaining_wait(&mut self, total: u64) -> Duration {
        let (now, window) = (self.waited, self.window);
        while self.samples.get(1).is_some_and(|(at, _)| *at + window <= now) {
            self.samples.pop_front();
        }
        if self.samples.back().is_none_or(|(at, _)| *at + self.sample_interval() <= now) {
            self.samples.push_back((now, total));
        }
        let required = self.min_rate as f64 * window.as_secs_f64();
        let is_slow = |before: u64| (total.saturating_sub(before) as f64) < required;
        let slow = self.samples.iter().find(|(_, before)| is_slow(*before));
        slow.map_or(window, |(at, _)| (*at + window).saturating_sub(now))
    }

    /// The failure of a peer, `target`, that is too slow (28).
    pub fn failure(&self, target: &str) -> Failure {
        let window = humantime::format_duration(self.window);
        let why = format!("slower than {} bytes/s over {window} (--speed-limit)", self.min_rate);
        Failure::new(Phase::Receive, target, why).with_code(ExitCode::Timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The second at which a peer that sends `bytes` at the end of each second is too slow.
    fn too_slow_at(bytes: impl Fn(u64) -> u64) -> Option<u64> {
        let mut speed = SpeedLimit::new(100, 5 * SECOND);
        let mut total = 0;
        for second in 0..100 {
            if speed.remaining_wait(total) <= Duration::ZERO {
                return Some(second);
            }
            speed.waited += SECOND;
            total += bytes(second);
        }
        None
    }

    #[test]
    fn slow_peer_fails_after_window() {
        assert_eq!(too_slow_at(|_| 0), Some(5));
        assert_eq!(too_slow_at(|_| 99), Some(5));
        assert_eq!(too_slow_at(|_| 100), None);
        // The average counts, not its even spread.
        assert_eq!(too_slow_at(|second| if second % 4 == 0 { 500 } else { 0 }), None);
        // A burst counts for one window.
        assert_eq!(too_slow_at(|second| if second == 0 { 1 << 30 } else { 1 }), Some(6));
    }

    #[test]
    fn shortest_window_keeps_few_samples() {
        let mut speed = SpeedLimit::new(1, Duration::from_nanos(1));
        for total in 0..1000 {
            speed.remaining_wait(total);
            speed.waited += Duration::from_nanos(1);
        }
        assert!(speed.samples.len() <= 2 && !speed.sample_interval().is_zero());
    }

    #[test]
    fn silent_peer_fails_after_window() {
        let mut speed = SpeedLimit::new(100, 5 * SECOND);
        assert_eq!(speed.remaining_wait(0), 5 * SECOND);
        speed.waited += 2 * SECOND;
        assert_eq!(speed.remaining_wait(0), 3 * SECOND);
        // Enough for the window that began with the run, not for one that begins now.
        assert_eq!(speed.remaining_wait(500), 5 * SECOND);
    }
}
