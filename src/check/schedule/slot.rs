//! The attempts at one target, and their verdicts.

use std::time::{Duration, Instant};

use crate::check::verdict::Verdict;
use crate::report::event::datagram::RoundTrips;

/// What is known about one target.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The verdicts on the addresses of the running attempt.
    pub(super) addresses: Option<Vec<Option<Verdict>>>,
    pub(super) first_start: Option<Instant>,
    pub(super) attempts: u32,
    pub(super) times: Vec<Duration>,
    pub(super) opened: u32,
    pub(super) last: Option<Verdict>,
    pub(super) is_decided: bool,
}

impl Slot {
    /// The last verdict, with the number of attempts.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let (attempts, opened) = (self.attempts, self.opened);
        self.last.clone().map(|verdict| Verdict { attempts, opened, ..verdict })
    }

    /// The verdict of all attempts together: open if one was, with their times.
    pub(super) fn counted(&mut self) -> Option<Verdict> {
        self.times.sort_unstable();
        let times = RoundTrips::of(&self.times);
        self.last.take().map(|verdict| Verdict { times, ..verdict })
    }
}
