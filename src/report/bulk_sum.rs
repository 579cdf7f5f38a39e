//! Which calls of a direction have lines of their own, and the sum of the others once a second.

use std::time::{Duration, Instant};

/// Calls per second and direction that have lines of their own; more are a bulk transfer.
const MAX_LINES: u32 = 20;
/// The interval of the lines of a bulk transfer.
const INTERVAL: Duration = Duration::from_secs(1);

/// Calls, and the bytes that they moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallCount {
    pub calls: u64,
    pub bytes: u64,
}

/// One second of one direction.
#[derive(Default)]
pub(super) struct BulkSum {
    began: Option<Instant>,
    /// Calls of this second, with a line or without.
    calls: u32,
    /// Whether the last second was one of a bulk transfer.
    is_bulk: bool,
    /// Calls and bytes without a line.
    pending_calls: u64,
    pending_bytes: u64,
}

/// What is logged of a call.
pub(super) struct DueLines {
    /// The calls and bytes of the second that has passed, if it was one of a bulk transfer.
    pub sum: Option<CallCount>,
    /// Whether the call itself has a line.
    pub has_line: bool,
}

impl BulkSum {
    /// Counts a call that moved `bytes` at `now`.
    pub fn add(&mut self, bytes: usize, now: Instant) -> DueLines {
        let mut sum = None;
        if self.began.is_none_or(|began| now.duration_since(began) >= INTERVAL) {
            sum = self.take();
            (self.is_bulk, self.began, self.calls) = (self.calls > MAX_LINES, Some(now), 0);
        }
        self.calls += 1;
        let has_line = !self.is_bulk && self.calls <= MAX_LINES;
        if !has_line {
            self.pending_calls += 1;
            self.pending_bytes += bytes as u64;
        }
        DueLines { sum, has_line }
    }

    /// The calls that have no line yet.
    pub fn take(&mut self) -> Option<CallCount> {
        let calls = std::mem::take(&mut self.pending_calls);
        let bytes = std::mem::take(&mut self.pending_bytes);
        (calls > 0).then_some(CallCount { calls, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_transfer_has_one_line_a_second() {
        let (mut sum, start) = (BulkSum::default(), Instant::now());
        let mut lines = 0;
        let mut sums = Vec::new();
        for n in 0..1000 {
            let due = sum.add(10, start + INTERVAL * n / 250);
            lines += u32::from(due.has_line);
            sums.extend(due.sum);
        }
        assert_eq!(lines, MAX_LINES);
        let full = CallCount { calls: 250, bytes: 2500 };
        assert_eq!(sums, [CallCount { calls: 230, bytes: 2300 }, full, full]);
        assert_eq!(sum.take(), Some(full));
    }

    #[test]
    fn slow_calls_have_lines_of_their_own() {
        let (mut sum, start) = (BulkSum::default(), Instant::now());
        let due = (0..100).map(|n| sum.add(1, start + INTERVAL * n / 10));
        assert!(due.into_iter().all(|due| due.has_line && due.sum.is_none()));
    }
}
