//! Final statistics of datagrams: the totals of a server, the results of a ping.

use std::fmt::{self, Write};
use std::time::Duration;

use serde::Serialize;

use crate::report::sparkline;

/// The totals of a datagram server.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Totals {
    /// The bound address.
    pub local: String,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Their payload, in bytes.
    pub bytes_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Their payload, in bytes.
    pub bytes_out: u64,
    /// Distinct senders; counted up to 65,536.
    pub peers: u64,
    /// Requests that were not answered, and answers that were not delivered.
    pub dropped: Dropped,
    /// Time from the first wait to the end.
    pub seconds: f64,
}

/// Dropped datagrams by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Over the rate limit of one source.
    pub rate: u64,
    /// From the port of a service that answers everything.
    pub port: u64,
    /// With our own address as the source.
    pub itself: u64,
    /// From a source without an address.
    pub nowhere: u64,
    /// Longer than the receive buffer.
    pub cut: u64,
    /// Over the limit of queued datagrams or concurrent programs.
    pub busy: u64,
    /// Whose program could not be started, exceeded its time or output limit, or was killed at the end.
    pub failed: u64,
    /// Answers that could not be sent.
    pub unsent: u64,
    /// Answers that ICMP reported as undeliverable.
    pub refused: u64,
}

impl Dropped {
    fn rows(&self) -> [(u64, &'static str); 9] {
        [
            (self.rate, "over the rate"),
            (self.port, "from ports that are never answered"),
            (self.itself, "from ourselves"),
            (self.nowhere, "from nowhere"),
            (self.cut, "too long"),
            (self.busy, "too many concurrently"),
            (self.failed, "failed by their program"),
            (self.unsent, "not sent"),
            (self.refused, "refused"),
        ]
    }
}

impl Totals {
    /// As one line of text.
    pub fn line(&self) -> String {
        let mut line = format!(
            "{} datagrams in ({} bytes), {} out ({} bytes), {} peers, {:.3} s",
            self.datagrams_in,
            self.bytes_in,
            self.datagrams_out,
            self.bytes_out,
            self.peers,
            self.seconds
        );
        let reasons = self.dropped.rows().into_iter().filter(|(count, _)| *count > 0);
        for (n, (count, why)) in reasons.enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(line, "{} {count} {why}", if n == 0 { "; dropped:" } else { "," });
        }
        line
    }
}

/// The result of a ping.
#[derive(Debug, Clone, Serialize)]
pub struct Ping {
    /// The address or name that was pinged.
    pub target: String,
    /// Datagrams sent.
    pub sent: u64,
    /// How many of them were answered.
    pub received: u64,
    /// How many were not.
    pub lost: u64,
    /// The same as a percentage.
    pub loss_percent: f64,
    /// Further answers to the same datagram.
    pub duplicates: u64,
    /// Answers received after the answer to a later datagram (RFC 4737 §3).
    pub reordered: u64,
    /// Round-trip times; `None` without an answer.
    #[serde(flatten)]
    pub trips: Option<RoundTrips>,
}

/// Round-trip times, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct RoundTrips {
    /// The shortest.
    pub min_ms: f64,
    /// The mean.
    pub avg_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// Their distribution, as a line of text; not in JSON.
    #[serde(skip)]
    pub histogram: String,
}

impl RoundTrips {
    /// The figures of sorted times; `None` without any.
    pub fn of(sorted: &[Duration]) -> Option<RoundTrips> {
        let (min, max) = (sorted.first()?, sorted.last()?);
        let milliseconds = |time: &Duration| time.as_nanos() as f64 / 1e6;
        let p99 = sorted.get((sorted.len() * 99).div_ceil(100) - 1)?;
        Some(RoundTrips {
            min_ms: milliseconds(min),
            avg_ms: milliseconds(&(sorted.iter().sum::<Duration>() / sorted.len() as u32)),
            max_ms: milliseconds(max),
            p99_ms: milliseconds(p99),
            histogram: histogram(sorted, *min, *max),
        })
    }
}

impl fmt::Display for RoundTrips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RoundTrips { min_ms, avg_ms, max_ms, p99_ms, .. } = self;
        write!(f, "min/avg/max/p99 = {min_ms:.3}/{avg_ms:.3}/{max_ms:.3}/{p99_ms:.3} ms")
    }
}

/// Columns of the histogram.
const COLUMNS: usize = 40;

/// The distribution of round trips between `min` and `max`, as one line.
fn histogram(sorted: &[Duration], min: Duration, max: Duration) -> String {
    let width = (max.saturating_sub(min).as_nanos() / COLUMNS as u128).max(1);
    let mut columns = [0; COLUMNS];
    for time in sorted {
        let at = (time.saturating_sub(min).as_nanos() / width) as usize;
        columns[at.min(COLUMNS - 1)] += 1;
    }
    let drawn = sparkline::draw(&columns);
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    format!("{:.3} ms |{drawn}| {:.3} ms", milliseconds(min), milliseconds(max))
}

impl Ping {
    /// As lines of text, without the histogram.
    pub fn lines(&self) -> String {
        let mut lines = format!(
            "{} sent, {} received, {} lost ({:.1}%), {} duplicates, {} reordered",
            self.sent, self.received, self.lost, self.loss_percent, self.duplicates, self.reordered
        );
        if let Some(trips) = &self.trips {
            // Writing to a string cannot fail.
            let _ = write!(lines, "\nround trip {trips}");
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reasons_with_a_count_are_printed() {
        let dropped = Dropped { rate: 3, cut: 1, ..Dropped::default() };
        let totals = Totals {
            local: "127.0.0.1:9".into(),
            datagrams_in: 10,
            bytes_in: 100,
            datagrams_out: 6,
            bytes_out: 60,
            peers: 2,
            dropped,
            seconds: 1.5,
        };
        assert_eq!(
            totals.line(),
            "10 datagrams in (100 bytes), 6 out (60 bytes), 2 peers, 1.500 s; \
             dropped: 3 over the rate, 1 too long"
        );
    }
}
