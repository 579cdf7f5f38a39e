//! What bounds one exchange in time and speed.

use std::time::{Duration, Instant};

use super::speed_limit::Speed;
use crate::transfer::throttle::Throttle;

/// How long and how fast an exchange may go on.
#[derive(Debug)]
pub struct Limits {
    /// The longest wait for bytes, or for room.
    pub idle: Option<Duration>,
    /// The most bytes per second that are received.
    pub pace: Option<Throttle>,
    /// The least.
    pub speed: Option<Speed>,
}

impl Limits {
    /// How often a wait that cannot be given a limit is looked at.
    pub fn period(&self) -> Option<Duration> {
        let speed = self.speed.as_ref().map(Speed::period);
        self.idle.into_iter().chain(speed).min()
    }

    /// How much longer `--speed-limit` lets us wait when `total` bytes have come.
    pub fn patience(&mut self, total: u64) -> Option<Duration> {
        self.speed.as_mut().map(|speed| speed.patience(total))
    }

    /// The peer has been waited for since this moment.
    pub fn waited(&mut self, since: Instant) {
        if let Some(speed) = &mut self.speed {
            speed.add(since.elapsed());
        }
    }
}
