//! The time and speed limits of one exchange, while it runs.

use std::time::{Duration, Instant};

use super::options::LimitOptions;
use super::speed_limit::SpeedLimit;
use crate::transfer::throttle::Throttle;

/// Time and speed limits, with what has been measured of them.
#[derive(Debug)]
pub struct Limits {
    /// The longest wait for received bytes, or for space to send.
    pub idle_timeout: Option<Duration>,
    /// The most bytes received per second.
    pub throttle: Option<Throttle>,
    /// The fewest bytes received per second.
    pub min_speed: Option<SpeedLimit>,
}

impl Limits {
    /// The limits of an exchange that begins now.
    pub fn new(options: &LimitOptions) -> Limits {
        Limits {
            idle_timeout: options.idle_timeout,
            throttle: options.max_rate.map(Throttle::new),
            min_speed: options.min_rate.map(|(rate, window)| SpeedLimit::new(rate, window)),
        }
    }

    /// How often the deadline of a wait that has no timeout of its own is checked.
    pub fn check_interval(&self) -> Option<Duration> {
        let speed = self.min_speed.as_ref().map(SpeedLimit::sample_interval);
        self.idle_timeout.into_iter().chain(speed).min()
    }

    /// How much longer `--speed-limit` allows waiting when `total` bytes have been received.
    pub fn remaining_wait(&mut self, total: u64) -> Option<Duration> {
        self.min_speed.as_mut().map(|speed| speed.remaining_wait(total))
    }

    /// Counts the time since `start` as time spent waiting for the peer.
    pub fn add_wait(&mut self, start: Instant) {
        if let Some(speed) = &mut self.min_speed {
            speed.add_wait(start.elapsed());
        }
    }
}
