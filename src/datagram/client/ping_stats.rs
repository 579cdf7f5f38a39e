//! Statistics of a ping: loss, duplicates, reordering and round-trip times.

use std::time::{Duration, Instant};

use crate::report::event::datagram::{Ping, RoundTrips};

/// The requests sent, and the replies to them.
#[derive(Debug, Default)]
pub struct PingStats {
    sent_at: Vec<Instant>,
    answered: Vec<bool>,
    round_trips: Vec<Duration>,
    /// The highest number that was answered.
    highest: usize,
    duplicates: u64,
    reordered: u64,
}

impl PingStats {
    /// Records that the next request is sent at `now`; they are numbered from 1.
    pub fn record_sent(&mut self, now: Instant) {
        self.sent_at.push(now);
        self.answered.push(false);
    }

    /// The number of requests sent.
    pub fn sent(&self) -> usize {
        self.sent_at.len()
    }

    /// The number of requests answered.
    pub fn received(&self) -> usize {
        self.round_trips.len()
    }

    /// The longest round trip so far.
    pub fn max_round_trip(&self) -> Duration {
        self.round_trips.iter().max().copied().unwrap_or_default()
    }

    /// Records the reply to request `number` at `now`. Returns the round trip, or `None` for a
    /// duplicate and for an unknown number.
    pub fn record_reply(&mut self, number: usize, now: Instant) -> Option<Duration> {
        let at = number.checked_sub(1)?;
        let (sent_at, answered) = (*self.sent_at.get(at)?, self.answered.get_mut(at)?);
        if std::mem::replace(answered, true) {
            self.duplicates += 1;
            return None;
        }
        // Of a swapped pair only the earlier number counts as reordered.
        self.reordered += u64::from(number < self.highest);
        self.highest = self.highest.max(number);
        let round_trip = now.saturating_duration_since(sent_at);
        self.round_trips.push(round_trip);
        Some(round_trip)
    }

    /// The result for the report.
    pub fn result(mut self, target: String) -> Ping {
        let (sent, received) = (self.sent() as u64, self.received() as u64);
        let lost = sent - received;
        self.round_trips.sort_unstable();
        Ping {
            target,
            sent,
            received,
            lost,
            loss_percent: 100.0 * lost as f64 / sent.max(1) as f64,
            duplicates: self.duplicates,
            reordered: self.reordered,
            trips: RoundTrips::of(&self.round_trips),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(sent: usize, replies: &[usize]) -> Ping {
        let mut stats = PingStats::default();
        let now = Instant::now();
        (0..sent).for_each(|_| stats.record_sent(now));
        for (n, number) in (1..).zip(replies) {
            stats.record_reply(*number, now + Duration::from_millis(n));
        }
        stats.result("peer".into())
    }

    #[test]
    fn swapped_pair_is_one_reorder_and_duplicate_is_none() {
        let ping = result(6, &[2, 1, 3, 3, 5, 2, 99, 0]);
        assert_eq!((ping.sent, ping.received, ping.lost), (6, 4, 2));
        assert_eq!((ping.duplicates, ping.reordered), (2, 1));
    }

    #[test]
    fn round_trips_have_percentile() {
        let numbers: Vec<usize> = (1..=100).collect();
        let trips = result(100, &numbers).trips.unwrap();
        assert_eq!((trips.min_ms, trips.max_ms, trips.p99_ms), (1.0, 100.0, 99.0));
        assert!((trips.avg_ms - 50.5).abs() < 1e-9);
        assert_eq!(result(3, &[]).trips.map(|trips| trips.min_ms), None);
    }

    #[test]
    fn histogram_is_one_line_for_any_distribution() {
        for replies in [&[1][..], &[1, 2], &[1, 2, 3]] {
            let line = result(3, replies).trips.unwrap().histogram;
            assert!(line.contains('█') && !line.contains('\n'), "{line}");
        }
    }
}
