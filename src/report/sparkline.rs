//! Sparklines: numbers as a line of block characters, and the rate of a transfer over its time.

use std::time::Duration;

/// Columns of a rate history.
const COLUMNS: usize = 40;
/// Time per column at first.
const INITIAL_WIDTH: Duration = Duration::from_millis(50);

/// The heights of a column, in eighths.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Formats each number in eighths of the highest; zero is a blank.
pub fn draw(columns: &[u64]) -> String {
    let highest = u128::from(columns.iter().max().copied().unwrap_or(0).max(1));
    let column = |number: &u64| match u128::from(*number) {
        0 => ' ',
        number => HEIGHTS[(number * HEIGHTS.len() as u128).div_ceil(highest) as usize - 1],
    };
    columns.iter().map(column).collect()
}

/// Bytes per interval of a transfer, in a fixed number of columns: when the transfer exceeds them,
/// two become one and the interval doubles.
#[derive(Debug)]
pub struct RateHistory {
    columns: [u64; COLUMNS],
    width: Duration,
    last: usize,
    total: u64,
}

impl Default for RateHistory {
    fn default() -> RateHistory {
        RateHistory { columns: [0; COLUMNS], width: INITIAL_WIDTH, last: 0, total: 0 }
    }
}

impl RateHistory {
    /// Records the total number of bytes at `elapsed` after the start.
    pub fn record(&mut self, elapsed: Duration, total: u64) {
        let mut column = self.column(elapsed);
        while column >= COLUMNS {
            self.halve();
            column = self.column(elapsed);
        }
        self.columns[column] += total.saturating_sub(self.total);
        self.last = self.last.max(column);
        self.total = self.total.max(total);
    }

    fn column(&self, elapsed: Duration) -> usize {
        (elapsed.as_nanos() / self.width.as_nanos().max(1)) as usize
    }

    fn halve(&mut self) {
        let mut halved = [0; COLUMNS];
        for (n, bytes) in self.columns.iter().enumerate() {
            halved[n / 2] += bytes;
        }
        (self.columns, self.width, self.last) = (halved, self.width * 2, self.last / 2);
    }

    /// The sparkline and its highest rate; `None` for a transfer shorter than four columns.
    pub fn sparkline(&self) -> Option<String> {
        let columns = &self.columns[..=self.last];
        let highest = columns.iter().max().copied().filter(|most| *most > 0)?;
        if columns.len() < 4 {
            return None;
        }
        let drawn = draw(columns);
        let peak = bytesize::ByteSize((highest as f64 / self.width.as_secs_f64()) as u64);
        Some(format!("rate |{drawn}| at most {}/s", peak.display().iec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn draw_scales_to_the_highest_column() {
        assert_eq!(draw(&[0, 1, 4, 8]), " ▁▄█");
        assert_eq!(draw(&[u64::MAX, 1]), "█▁");
        assert_eq!(draw(&[0, 0]), "  ");
        assert_eq!(draw(&[]), "");
    }

    #[test]
    fn pause_is_a_blank() {
        let mut history = RateHistory::default();
        for (ms, total) in [(0, 100), (60, 200), (110, 200), (160, 250)] {
            history.record(Duration::from_millis(ms), total);
        }
        assert_eq!(history.sparkline().unwrap(), "rate |██ ▄| at most 2.0 KiB/s");
    }

    #[test]
    fn short_transfer_has_no_sparkline() {
        let mut history = RateHistory::default();
        history.record(Duration::from_millis(10), 100);
        assert_eq!(history.sparkline(), None);
    }

    proptest! {
        #[test]
        fn doubling_the_interval_loses_no_byte(steps in prop::collection::vec((0u64..100_000, 0u64..1 << 40), 1..50)) {
            let mut history = RateHistory::default();
            let (mut time, mut total) = (0, 0);
            for (ms, bytes) in steps {
                time += ms;
                total += bytes;
                history.record(Duration::from_millis(time), total);
            }
            prop_assert_eq!(history.columns.iter().sum::<u64>(), total);
            prop_assert!(history.sparkline().is_none_or(|line| line.chars().count() < COLUMNS + 40));
        }
    }
}
