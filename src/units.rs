//! Numbers with units: durations, sizes, rates (`250ms`, `64Ki`, `1M/s`).

use std::time::Duration;

/// The longest duration: a hundred years, which overflows no clock.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Parses `250ms`, `1.5s`, `2m`, `1h30m`; a bare number is seconds.
pub fn duration(word: &str) -> Result<Duration, String> {
    let bad = || format!("'{word}' is not a duration such as 250ms, 1.5s or 2m");
    let parsed = match split_unit(word) {
        Some((number, unit)) => scaled(number, unit).ok_or_else(bad)?,
        None => humantime::parse_duration(word).map_err(|_| bad())?,
    };
    if parsed > MAX_DURATION {
        return Err(format!("'{word}' is longer than a hundred years"));
    }
    Ok(parsed)
}

/// Splits one decimal number from its unit, if any; `None` for compound forms.
fn split_unit(word: &str) -> Option<(f64, &str)> {
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let (number, unit) = word.split_at(end);
    let plain = unit.chars().all(|c| c.is_ascii_alphabetic() || c == 'µ');
    (plain && number.contains(|c: char| c.is_ascii_digit()))
        .then(|| number.parse().ok().map(|number| (number, unit)))?
}

fn scaled(number: f64, unit: &str) -> Option<Duration> {
    let seconds = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "" | "s" | "sec" | "secs" => 1.0,
        "m" | "min" | "mins" => 60.0,
        "h" | "hr" => 3600.0,
        "d" | "day" | "days" => 86400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// Parses a number of bytes: `64k` (1000), `64Ki` (1024), bare = bytes.
pub fn size(word: &str) -> Result<u64, String> {
    let good = word.starts_with(|c: char| c.is_ascii_digit()) && !word.contains(' ');
    match word.parse::<bytesize::ByteSize>() {
        Ok(size) if good && size.0 < u64::MAX => Ok(size.0),
        _ => Err(format!("'{word}' is not a size such as 4096, 64k or 64Ki")),
    }
}

/// Parses bytes per second: a [`size`], with or without `/s`; never 0.
pub fn rate(word: &str) -> Result<u64, String> {
    match size(word.strip_suffix("/s").unwrap_or(word)) {
        Ok(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(format!("'{word}' is not a rate such as 64k/s or 1Mi/s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_in_every_form() {
        let seconds = [("10", 10_000), ("0.25", 250), (".3", 300), (".5s", 500), ("3.", 3_000)];
        let units = [("250ms", 250), ("1.5s", 1500), ("2m", 120_000), ("1h", 3_600_000)];
        let others = [("0", 0), ("1m30s", 90_000)];
        for (word, milliseconds) in seconds.into_iter().chain(units).chain(others) {
            assert_eq!(duration(word), Ok(Duration::from_millis(milliseconds)), "{word}");
        }
    }

    #[test]
    fn malformed_duration_is_rejected() {
        let long = "9999999999999999999s";
        for word in ["", "-1", "-1s", "abc", "1x", "1..5", ".", ".s", "-.3", "1e400", long] {
            assert!(duration(word).is_err(), "{word}");
        }
    }

    #[test]
    fn sizes_are_decimal_or_binary() {
        for (word, bytes) in
            [("64k", 64_000), ("64Ki", 65_536), ("1M", 1_000_000), ("10", 10), ("1Gi", 1 << 30)]
        {
            assert_eq!(size(word), Ok(bytes), "{word}");
        }
        for word in ["", "-1", "k", "1x", "0x10", " 1", "1 k", "99999999999999999999"] {
            assert!(size(word).is_err(), "{word}");
        }
        assert_eq!(rate("1Ki/s"), Ok(1024));
        assert!(rate("0").is_err());
    }

    proptest! {
        #[test]
        fn any_word_is_parsed_without_panic(word in ".*") {
            let _ = (duration(&word), size(&word), rate(&word));
        }

        #[test]
        fn a_size_in_kibibytes_is_itself(n in 0u64..1 << 40) {
            prop_assert_eq!(size(&format!("{n}Ki")), Ok(n * 1024));
        }
    }
}
