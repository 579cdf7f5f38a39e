//! What the answers of a ping add up to.

use std::time::{Duration, Instant};

use crate::report::datagram_stats::{Ping, RoundTrips};
use crate::report::sparkline;

/// Sums over the answers that came.
#[derive(Debug, Default)]
pub struct PingStats {
    sent_at: Vec<Instant>,
    answered: Vec<bool>,
    trips: Vec<Duration>,
    latest: usize,
    duplicates: u64,
    reordered: u64,
}

impl PingStats {
    /// The next datagram goes out now; they are numbered from 1.
    pub fn sent(&mut self, now: Instant) {
        self.sent_at.push(now);
        self.answered.push(false);
    }

    /// How many went out.
    pub fn count(&self) -> usize {
        self.sent_at.len()
    }

    /// How many were answered.
    pub fn received(&self) -> usize {
        self.trips.len()
    }

    /// The longest round trip so far.
    pub fn longest(&self) -> Duration {
        self.trips.iter().max().copied().unwrap_or_default()
    }

    /// An answer to datagram `number` came at `now`; how long it took, unless it is not the first,
    /// or an answer to nothing.
    pub fn record_reply(&mut self, number: usize, now: Instant) -> Option<Duration> {
        let at = number.checked_sub(1)?;
        let (sent_at, answered) = (*self.sent_at.get(at)?, self.answered.get_mut(at)?);
        if std::mem::replace(answered, true) {
            self.duplicates += 1;
            return None;
        }
        // Of two that changed places only the earlier one is late.
        self.reordered += u64::from(number < self.latest);
        self.latest = self.latest.max(number);
        let trip = now.saturating_duration_since(sent_at);
        self.trips.push(trip);
        Some(trip)
    }

    /// The sums, to be told.
    pub fn ping(mut self, target: String) -> Ping {
        let (sent, received) = (self.count() as u64, self.received() as u64);
        let lost = sent - received;
        self.trips.sort_unstable();
        Ping {
            target,
            sent,
            received,
            lost,
            loss_percent: 100.0 * lost as f64 / sent.max(1) as f64,
            duplicates: self.duplicates,
            reordered: self.reordered,
            trips: trips(&self.trips),
        }
    }
}

/// The figures of sorted round trips.
fn trips(sorted: &[Duration]) -> Option<RoundTrips> {
    let (min, max) = (sorted.first()?, sorted.last()?);
    let milliseconds = |trip: &Duration| trip.as_nanos() as f64 / 1e6;
    let p99 = sorted.get((sorted.len() * 99).div_ceil(100) - 1)?;
    Some(RoundTrips {
        min_ms: milliseconds(min),
        avg_ms: milliseconds(&(sorted.iter().sum::<Duration>() / sorted.len() as u32)),
        max_ms: milliseconds(max),
        p99_ms: milliseconds(p99),
        histogram: histogram(sorted),
    })
}

/// Columns of the histogram, at most.
const COLUMNS: usize = 40;

/// How the trips spread between the shortest and the longest, as one line.
fn histogram(sorted: &[Duration]) -> String {
    let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else { return String::new() };
    let width = (max.saturating_sub(*min).as_nanos() / COLUMNS as u128).max(1);
    let mut columns = [0; COLUMNS];
    for trip in sorted {
        let at = (trip.saturating_sub(*min).as_nanos() / width) as usize;
        columns[at.min(COLUMNS - 1)] += 1;
    }
    let drawn = sparkline::draw(&columns);
    let milliseconds = |trip: &Duration| trip.as_secs_f64() * 1e3;
    format!("{:.3} ms |{drawn}| {:.3} ms", milliseconds(min), milliseconds(max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(sent: usize, answers: &[usize]) -> Ping {
        let mut figures = PingStats::default();
        let now = Instant::now();
        (0..sent).for_each(|_| figures.sent(now));
        for (n, number) in (1..).zip(answers) {
            figures.record_reply(*number, now + Duration::from_millis(n));
        }
        figures.ping("peer".into())
    }

    #[test]
    fn a_swapped_pair_is_one_and_a_double_is_no_reorder() {
        let ping = figures(6, &[2, 1, 3, 3, 5, 2, 99, 0]);
        assert_eq!((ping.sent, ping.received, ping.lost), (6, 4, 2));
        assert_eq!((ping.duplicates, ping.reordered), (2, 1));
    }

    #[test]
    fn trips_have_their_percentile() {
        let numbers: Vec<usize> = (1..=100).collect();
        let trips = figures(100, &numbers).trips.unwrap();
        assert_eq!((trips.min_ms, trips.max_ms, trips.p99_ms), (1.0, 100.0, 99.0));
        assert!((trips.avg_ms - 50.5).abs() < 1e-9);
        assert_eq!(figures(3, &[]).trips.map(|trips| trips.min_ms), None);
    }

    #[test]
    fn the_histogram_is_one_line_however_the_trips_lie() {
        for answers in [&[1][..], &[1, 2], &[1, 2, 3]] {
            let line = figures(3, answers).trips.unwrap().histogram;
            assert!(line.contains('█') && !line.contains('\n'), "{line}");
        }
    }
}
