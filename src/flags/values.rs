//! Parsers of flag values: durations, sizes, rates (`250ms`, `64Ki`, `1M/s`) and C escapes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};

/// The longest duration: a hundred years, which overflows no clock.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A time limit; `None`, written `0`, is no limit.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Option<Duration>);

/// Parses a [`Limit`]: a [`duration`], or 0 for no limit.
pub fn limit(word: &str) -> Result<Limit, String> {
    let time = duration(word)?;
    Ok(Limit((!time.is_zero()).then_some(time)))
}

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

/// Parses a [`size`] within the kernel's buffer options (an `int`).
pub fn buffer_size(word: &str) -> Result<usize, String> {
    match size(word)? {
        bytes @ 1..=0x7fff_ffff => Ok(bytes as usize),
        _ => Err(format!("'{word}' is not a buffer size from 1 to 2147483647 bytes")),
    }
}

/// Parses bytes per second: a [`size`], with or without `/s`; never 0.
pub fn rate(word: &str) -> Result<u64, String> {
    match size(word.strip_suffix("/s").unwrap_or(word)) {
        Ok(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(format!("'{word}' is not a rate such as 64k/s or 1Mi/s")),
    }
}

/// Parses C escapes in `--send` and the like: `\n \r \t \0 \a \b \e \f \v \\ \" \' \xHH \NNN \u{H…}`.
///
/// Anything else after a backslash is an error, so that a Windows path is not changed silently.
pub fn unescape(word: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = one_escape(&rest[at + 1..], &mut bytes)
            .ok_or_else(|| format!("'{}' is not a C escape", &rest[at..]))?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// As [`unescape`], for text that need not be UTF-8: other bytes are kept as typed.
pub fn unescape_bytes(word: OsString) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(word.len());
    for chunk in word.as_bytes().utf8_chunks() {
        bytes.extend(unescape(chunk.valid())?);
        bytes.extend_from_slice(chunk.invalid());
    }
    Ok(bytes)
}

/// The clap parser for [`unescape_bytes`].
pub fn text() -> impl TypedValueParser<Value = Vec<u8>> {
    OsStringValueParser::new().try_map(unescape_bytes)
}

/// Parses what follows a backslash, and returns the rest.
fn one_escape<'a>(rest: &'a str, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let first = rest.chars().next()?;
    let tail = &rest[first.len_utf8()..];
    let byte = match first {
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'a' => 7,
        'b' => 8,
        'e' => 27,
        'f' => 12,
        'v' => 11,
        '\\' | '"' | '\'' | '?' => first as u8,
        'x' => return numeric(tail, 16, 2, bytes),
        '0'..='7' => return numeric(rest, 8, 3, bytes),
        'u' => return unicode(tail, bytes),
        _ => return None,
    };
    bytes.push(byte);
    Some(tail)
}

fn numeric<'a>(text: &'a str, radix: u32, max_len: usize, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let digits = text.chars().take(max_len).take_while(|c| c.is_digit(radix)).count();
    bytes.push(u8::from_str_radix(&text[..digits], radix).ok()?);
    Some(&text[digits..])
}

fn unicode<'a>(text: &'a str, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let (digits, tail) = text.strip_prefix('{')?.split_once('}')?;
    let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Some(tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;

    #[test]
    fn durations_are_read_in_every_form() {
        for (word, milliseconds) in [
            ("250ms", 250),
            ("1.5s", 1500),
            ("2m", 120_000),
            ("10", 10_000),
            ("0.25", 250),
            (".3", 300),
            (".5s", 500),
            ("3.", 3_000),
            ("0", 0),
            ("1h", 3_600_000),
            ("1m30s", 90_000),
        ] {
            assert_eq!(duration(word), Ok(Duration::from_millis(milliseconds)), "{word}");
        }
        assert_eq!(limit("0"), Ok(Limit(None)));
        assert_eq!(limit("1"), Ok(Limit(Some(Duration::from_secs(1)))));
    }

    #[test]
    fn malformed_duration_is_rejected() {
        for word in [
            "",
            "-1",
            "-1s",
            "abc",
            "1x",
            "1..5",
            ".",
            ".s",
            "-.3",
            "1e400",
            "9999999999999999999s",
        ] {
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

    #[test]
    fn escapes_are_those_of_c() {
        assert_eq!(unescape(r"a\r\n\x41\101\0\\\u{e9}"), Ok(b"a\r\nAA\0\\\xc3\xa9".to_vec()));
        let latin1 = OsStr::from_bytes(b"caf\xe9\\n\xff").to_owned();
        assert_eq!(unescape_bytes(latin1), Ok(b"caf\xe9\n\xff".to_vec()));
        for word in [r"\", r"\q", r"\x", r"\xzz", r"\400", r"\u{110000}", r"\u12"] {
            assert!(unescape(word).is_err(), "{word}");
        }
    }

    proptest! {
        #[test]
        fn any_word_is_parsed_without_panic(word in ".*") {
            let _ = (duration(&word), size(&word), rate(&word), unescape(&word));
        }

        #[test]
        fn a_size_in_kibibytes_is_itself(n in 0u64..1 << 40) {
            prop_assert_eq!(size(&format!("{n}Ki")), Ok(n * 1024));
        }
    }
}
