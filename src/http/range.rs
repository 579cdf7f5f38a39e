//! Byte ranges (RFC 9110 §14): the requested one, and the one in the response.

use super::error::Error;
use super::head::Head;
use super::syntax::{decimal, quote, trim};

/// The bytes that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeSpec {
    /// From the first byte to the last one, or to the end.
    From(u64, Option<u64>),
    /// So many bytes at the end.
    Last(u64),
    /// Several ranges, sent as multipart/byteranges.
    Several,
}

/// The bytes that the user asks for, and the value of Range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedRange {
    /// The bytes.
    pub spec: RangeSpec,
    /// The value.
    pub value: String,
}

impl RequestedRange {
    /// Parses `--range`: `0-99`, `100-`, `-100`, several with commas.
    pub fn parse(text: &str) -> Result<RequestedRange, Error> {
        let bad = || Error::usage(format!("'{text}' is not a range such as 0-99, 100- or -100"));
        if text.chars().any(char::is_control) {
            return Err(bad());
        }
        let ranges: Vec<&str> = text.split(',').map(str::trim).collect();
        let specs: Option<Vec<RangeSpec>> = ranges.iter().map(|range| parse_spec(range)).collect();
        let spec = match specs.ok_or_else(bad)?[..] {
            [spec] => spec,
            _ => RangeSpec::Several,
        };
        Ok(RequestedRange { spec, value: format!("bytes={}", ranges.join(",")) })
    }
}

fn parse_spec(range: &str) -> Option<RangeSpec> {
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| decimal(text.as_bytes());
    match (first, last) {
        ("", last) => Some(RangeSpec::Last(number(last)?)),
        (first, "") => Some(RangeSpec::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(RangeSpec::From(first, Some(last)))
        }
    }
}

/// A parsed Content-Range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// First and last byte; none in a response without such a range (416).
    pub range: Option<(u64, u64)>,
    /// The size of the complete body, if known.
    pub total: Option<u64>,
}

/// Parses the Content-Range of a response, if it has one.
///
/// Fails (8) on one that is malformed or contradicts itself, and on two that differ.
pub fn content_range(head: &Head) -> Result<Option<ContentRange>, Error> {
    let mut values = head.values("content-range");
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.any(|other| other != value) {
        return Err(Error::protocol("two different Content-Ranges"));
    }
    let bad = || Error::protocol(format!("malformed Content-Range {}", quote(value)));
    let rest = value.get(..5).filter(|unit| unit.eq_ignore_ascii_case(b"bytes"));
    let rest = trim(rest.map(|_| &value[5..]).ok_or_else(bad)?);
    let slash = rest.iter().position(|byte| *byte == b'/').ok_or_else(bad)?;
    let total = match &rest[slash + 1..] {
        b"*" => None,
        size => Some(decimal(size).ok_or_else(bad)?),
    };
    let range = match &rest[..slash] {
        b"*" => None,
        range => {
            let dash = range.iter().position(|byte| *byte == b'-').ok_or_else(bad)?;
            let first = decimal(&range[..dash]).ok_or_else(bad)?;
            let last = decimal(&range[dash + 1..]).ok_or_else(bad)?;
            if first > last || total.is_some_and(|total| last >= total) {
                return Err(bad());
            }
            Some((first, last))
        }
    };
    Ok(Some(ContentRange { range, total }))
}

/// The length of the body of a 206 with one range. None for multipart/byteranges and without a
/// valid Content-Range.
pub fn range_len(head: &Head) -> Option<u64> {
    let kind = head.first("content-type").unwrap_or_default();
    let several =
        kind.get(..20).is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/byteranges"));
    if head.status != 206 || several {
        return None;
    }
    let (first, last) = content_range(head).ok()??.range?;
    Some(last - first + 1)
}

/// Whether a 206 begins at the first byte.
pub fn is_beginning(head: &Head) -> bool {
    let range = content_range(head).ok().flatten();
    matches!(range, Some(ContentRange { range: Some((0, _)), .. }))
}

/// Whether this is a 206 with less than the complete body.
pub fn is_part(head: &Head) -> bool {
    let is_complete = matches!(
        content_range(head),
        Ok(Some(ContentRange { range: Some((0, last)), total: Some(total) })) if last + 1 == total
    );
    head.status == 206 && !is_complete
}

/// A range that ends before the requested one, although the body is longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortRange {
    /// Its length in bytes.
    pub received: u64,
    /// The length of the requested range.
    pub requested: u64,
}

/// Checks a 206 to a request for `requested`: its range must begin there and not be longer (8).
pub fn check_range(head: &Head, requested: RangeSpec) -> Result<Option<ShortRange>, Error> {
    let range = content_range(head)?;
    if requested == RangeSpec::Several {
        return Ok(None);
    }
    let Some(ContentRange { range: Some((from, to)), total }) = range else {
        return Err(Error::protocol("206 without a Content-Range"));
    };
    let (first, last) = match requested {
        RangeSpec::From(first, last) => (first, last),
        RangeSpec::Last(count) => (total.unwrap_or(to + 1).saturating_sub(count), None),
        RangeSpec::Several => (from, None),
    };
    if first != from {
        return Err(Error::protocol(format!(
            "requested bytes from {first}, got bytes from {from}"
        )));
    }
    if last.is_some_and(|last| to > last) {
        return Err(Error::protocol(format!("got bytes up to {to}, more than requested")));
    }
    // Without the total size it is unknown whether there are more bytes.
    let end = total.map(|total| last.map_or(total, |last| total.min(last + 1)));
    Ok(end
        .filter(|end| to + 1 < *end)
        .map(|end| ShortRange { received: to + 1 - first, requested: end - first }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Head {
        Head::of(206, fields)
    }

    #[test]
    fn requested_ranges_are_checked() {
        assert_eq!(RequestedRange::parse("0-99, -5").unwrap().value, "bytes=0-99,-5");
        for bad in ["", "-", "5", "9-5", "a-b", "0-99\r\nX: y", "0-99\r\n", "0-1,", "bytes=0-1"] {
            assert!(RequestedRange::parse(bad).is_err(), "{bad:?}");
        }
    }

    fn piece(range: &str, asked: &str) -> Result<Option<ShortRange>, Error> {
        check_range(&head(&[("Content-Range", range)]), RequestedRange::parse(asked).unwrap().spec)
    }

    #[test]
    fn received_range_must_be_the_requested_one() {
        for (range, asked) in [
            ("bytes 5-9/10", "5-"),
            ("bytes 5-9/*", "5-"),
            ("bytes 5-9/10", "5-99"),
            ("bytes 0-4/10", "0-4"),
            ("bytes 7-9/10", "-3"),
            ("bytes 7-9/*", "-3"),
            ("bytes 0-9/10", "-30"),
            ("bytes 1-2/10", "5-6,1-2"),
        ] {
            assert_eq!(piece(range, asked).unwrap(), None, "{range} {asked}");
        }
        for (range, asked) in [
            ("bytes 5-9/10", "4-"),
            ("bytes 0-9/10", "0-4"),
            ("bytes 0-2/10", "-3"),
            ("bytes 5-9/10", "-3"),
            ("bytes 8-9/*", "-3"),
            ("bytes */10", "5-"),
            ("bytes 9-5/10", "9-"),
            ("bytes 5-10/10", "5-"),
            ("bytes 5/10", "5-"),
            ("5-9/10", "5-"),
            ("bytes +5-9/10", "5-"),
        ] {
            assert!(piece(range, asked).is_err(), "{range} {asked}");
        }
        assert!(check_range(&head(&[]), RangeSpec::From(5, None)).is_err());
        assert!(check_range(&head(&[]), RangeSpec::Several).unwrap().is_none());
    }

    #[test]
    fn short_range_has_both_lengths() {
        for (range, asked, received, requested) in [
            ("bytes 5-7/10", "5-", 3, 5),
            ("bytes 0-2/10", "0-4", 3, 5),
            ("bytes 7-8/10", "-3", 2, 3),
        ] {
            assert_eq!(
                piece(range, asked).unwrap(),
                Some(ShortRange { received, requested }),
                "{range} {asked}"
            );
        }
        assert_eq!(piece("bytes 5-7/*", "5-").unwrap(), None);
    }

    #[test]
    fn two_different_content_ranges_are_refused() {
        let range = |value| ("Content-Range", value);
        assert!(content_range(&head(&[range("bytes 0-1/3"), range("bytes 1-2/3")])).is_err());
        let same = head(&[range("bytes 0-1/3"), range("bytes 0-1/3")]);
        assert_eq!(range_len(&same), Some(2));
        let kind = ("Content-Type", "multipart/byteranges; boundary=x");
        assert_eq!(range_len(&head(&[range("bytes 0-1/3"), kind])), None);
    }
}
