//! What is told of datagrams when all is over: a server's totals, a ping's figures.

use std::fmt::Write;

use serde::Serialize;

/// What a server of datagrams did.
#[derive(Debug, Clone, Serialize)]
pub struct Totals {
    /// The bound address.
    pub local: String,
    /// Datagrams that came.
    pub datagrams_in: u64,
    /// Their payload.
    pub bytes_in: u64,
    /// Datagrams that were sent.
    pub datagrams_out: u64,
    /// Their payload.
    pub bytes_out: u64,
    /// Different senders, of which at most 65,536 are told apart.
    pub peers: u64,
    /// What came and was not served, or was sent in vain.
    pub dropped: Dropped,
    /// From the first wait to the end.
    pub seconds: f64,
}

/// How many datagrams were dropped, by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Over the rate for one source.
    pub rate: u64,
    /// From a port whose service answers everything.
    pub port: u64,
    /// From ourselves, as they claimed.
    pub itself: u64,
    /// From a source without an address to answer to.
    pub nowhere: u64,
    /// Longer than our room for them.
    pub cut: u64,
    /// Beyond what may wait, or run as programs, at once.
    pub busy: u64,
    /// Whose program could not be started, took too long, said too much, or was cut at the end.
    pub failed: u64,
    /// Answers that could not be sent.
    pub unsent: u64,
    /// Answers that were sent, and refused by ICMP.
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
            (self.busy, "too many at once"),
            (self.failed, "failed by their program"),
            (self.unsent, "not sent"),
            (self.refused, "refused"),
        ]
    }
}

impl Totals {
    /// As one line for people.
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
        let told = self.dropped.rows().into_iter().filter(|(count, _)| *count > 0);
        for (n, (count, why)) in told.enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(line, "{} {count} {why}", if n == 0 { "; dropped:" } else { "," });
        }
        line
    }
}

/// What a ping found out.
#[derive(Debug, Clone, Serialize)]
pub struct Ping {
    /// Whom it asked.
    pub target: String,
    /// Datagrams sent.
    pub sent: u64,
    /// Of those, how many were answered.
    pub received: u64,
    /// How many were not.
    pub lost: u64,
    /// The same of a hundred.
    pub loss_percent: f64,
    /// Answers beyond the first to the same datagram.
    pub duplicates: u64,
    /// Answers that came after the answer to a later datagram (RFC 4737 §3).
    pub reordered: u64,
    /// Round trips; nothing without a single answer.
    #[serde(flatten)]
    pub trips: Option<RoundTrips>,
}

/// Round trips, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct RoundTrips {
    /// The shortest.
    pub min_ms: f64,
    /// The mean.
    pub avg_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// What 99 of a hundred do not exceed.
    pub p99_ms: f64,
    /// How they spread, drawn; for people only.
    #[serde(skip)]
    pub histogram: String,
}

impl Ping {
    /// As lines for people, without the histogram.
    pub fn lines(&self) -> String {
        let mut lines = format!(
            "{} sent, {} received, {} lost ({:.1}%), {} duplicates, {} reordered",
            self.sent, self.received, self.lost, self.loss_percent, self.duplicates, self.reordered
        );
        if let Some(trips) = &self.trips {
            let RoundTrips { min_ms, avg_ms, max_ms, p99_ms, .. } = trips;
            // Writing to a string cannot fail.
            let _ = write!(
                lines,
                "\nround trip min/avg/max/p99 = {min_ms:.3}/{avg_ms:.3}/{max_ms:.3}/{p99_ms:.3} ms"
            );
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reasons_that_happened_are_told() {
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
