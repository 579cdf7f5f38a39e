//! How fast bytes moved over the time of a conversation, as a picture of one line.

use std::time::Duration;

use super::sparkline;

/// Columns of the picture, at most.
const COLUMNS: usize = 40;
/// How much time a column stands for at first.
const FIRST_WIDTH: Duration = Duration::from_millis(50);

/// The course of a conversation. However long it lasts, it is as many numbers: when they are
/// used up, each two become one.
#[derive(Debug)]
pub struct RateHistory {
    columns: [u64; COLUMNS],
    width: Duration,
    last: usize,
    total: u64,
}

impl Default for RateHistory {
    fn default() -> RateHistory {
        RateHistory { columns: [0; COLUMNS], width: FIRST_WIDTH, last: 0, total: 0 }
    }
}

impl RateHistory {
    /// So many bytes in all, that long after the beginning.
    pub fn at(&mut self, elapsed: Duration, total: u64) {
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

    /// The picture and its highest rate; nothing for a conversation too short for one.
    pub fn sparkline(&self) -> Option<String> {
        let columns = &self.columns[..=self.last];
        let highest = columns.iter().max().copied().filter(|most| *most > 0)?;
        if columns.len() < 4 {
            return None;
        }
        let drawn = sparkline::draw(columns);
        let peak = bytesize::ByteSize((highest as f64 / self.width.as_secs_f64()) as u64);
        Some(format!("rate |{drawn}| at most {}/s", peak.display().iec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pause_in_the_middle_is_seen() {
        let mut course = RateHistory::default();
        for (ms, total) in [(0, 100), (60, 200), (110, 200), (160, 250)] {
            course.at(Duration::from_millis(ms), total);
        }
        assert_eq!(course.sparkline().unwrap(), "rate |██ ▄| at most 2.0 KiB/s");
    }

    #[test]
    fn a_short_talk_has_no_picture() {
        let mut course = RateHistory::default();
        course.at(Duration::from_millis(10), 100);
        assert_eq!(course.sparkline(), None);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_however_long_it_lasts(steps in prop::collection::vec((0u64..100_000, 0u64..1 << 40), 1..50)) {
            let mut course = RateHistory::default();
            let (mut time, mut total) = (0, 0);
            for (ms, bytes) in steps {
                time += ms;
                total += bytes;
                course.at(Duration::from_millis(time), total);
            }
            prop_assert_eq!(course.columns.iter().sum::<u64>(), total);
            prop_assert!(course.sparkline().is_none_or(|line| line.chars().count() < COLUMNS + 40));
        }
    }
}
