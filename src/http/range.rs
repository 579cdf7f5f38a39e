//! Pieces of a body (RFC 9110 §14): what is asked for, and whether that is what came.

use super::error::Error;
use super::head::Head;
use super::syntax::{decimal, quote, trim};

/// Checks the user's `--range` (`0-99`, `100-`, `-100`, several with commas) and makes the value
/// of Range.
pub fn read(text: &str) -> Result<String, Error> {
    let bad = || Error::usage(format!("'{text}' is not a range such as 0-99, 100- or -100"));
    if text.chars().any(char::is_control) {
        return Err(bad());
    }
    for piece in text.split(',') {
        let (first, last) = piece.trim().split_once('-').ok_or_else(bad)?;
        let number = |text: &str| decimal(text.as_bytes()).ok_or_else(bad);
        match (first, last) {
            ("", "") => return Err(bad()),
            ("", last) => drop(number(last)?),
            (first, "") => drop(number(first)?),
            (first, last) if number(first)? <= number(last)? => {}
            _ => return Err(bad()),
        }
    }
    let pieces: Vec<&str> = text.split(',').map(str::trim).collect();
    Ok(format!("bytes={}", pieces.join(",")))
}

/// Which bytes a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeSpec {
    /// From this byte to that one, or to the end.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
    /// Several pieces, which come in one body with borders of their own.
    Several,
}

impl RangeSpec {
    /// What a value of [`read`] asks for.
    pub fn of(value: &str) -> RangeSpec {
        let pieces = value.strip_prefix("bytes=").unwrap_or(value);
        let (first, last) = pieces.split_once('-').unwrap_or((pieces, ""));
        let number = |text: &str| decimal(text.as_bytes());
        match (first, number(first), number(last)) {
            _ if pieces.contains(',') => RangeSpec::Several,
            ("", _, Some(count)) => RangeSpec::Last(count),
            (_, Some(first), last) => RangeSpec::From(first, last),
            _ => RangeSpec::Several,
        }
    }
}

/// What a Content-Range says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// First and last byte; none in an answer that has no such piece (416).
    pub piece: Option<(u64, u64)>,
    /// Size of the whole, if it is known.
    pub whole: Option<u64>,
}

/// The Content-Range of an answer, if it has one.
///
/// Refuses (8) one that is malformed or at odds with itself, and two that differ.
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
    let whole = match &rest[slash + 1..] {
        b"*" => None,
        size => Some(decimal(size).ok_or_else(bad)?),
    };
    let piece = match &rest[..slash] {
        b"*" => None,
        piece => {
            let dash = piece.iter().position(|byte| *byte == b'-').ok_or_else(bad)?;
            let first = decimal(&piece[..dash]).ok_or_else(bad)?;
            let last = decimal(&piece[dash + 1..]).ok_or_else(bad)?;
            if first > last || whole.is_some_and(|whole| last >= whole) {
                return Err(bad());
            }
            Some((first, last))
        }
    };
    Ok(Some(ContentRange { piece, whole }))
}

/// How many bytes the body of a 206 must have: those of its one piece. None when it has several,
/// which come as multipart/byteranges, or says nothing that can be understood.
pub fn piece_length(head: &Head) -> Option<u64> {
    let kind = head.first("content-type").unwrap_or_default();
    let several =
        kind.get(..20).is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/byteranges"));
    if head.status != 206 || several {
        return None;
    }
    let (first, last) = content_range(head).ok()??.piece?;
    Some(last - first + 1)
}

/// Whether a 206 has a piece that begins where the whole does.
pub fn is_beginning(head: &Head) -> bool {
    let told = content_range(head).ok().flatten();
    matches!(told, Some(ContentRange { piece: Some((0, _)), .. }))
}

/// A piece that ends early, though the whole has more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortRange {
    /// How many bytes it has.
    pub got: u64,
    /// How many were asked for.
    pub of: u64,
}

/// Judges a 206 to a request for `wanted`: its piece must begin there and not go further (8).
pub fn check_piece(head: &Head, wanted: RangeSpec) -> Result<Option<ShortRange>, Error> {
    let told = content_range(head)?;
    if wanted == RangeSpec::Several {
        return Ok(None);
    }
    let Some(ContentRange { piece: Some((from, to)), whole }) = told else {
        return Err(Error::protocol("206 without a Content-Range"));
    };
    let (first, last) = match wanted {
        RangeSpec::From(first, last) => (first, last),
        RangeSpec::Last(count) => (whole.unwrap_or(to + 1).saturating_sub(count), None),
        RangeSpec::Several => (from, None),
    };
    if first != from {
        return Err(Error::protocol(format!("asked for bytes from {first}, got them from {from}")));
    }
    if last.is_some_and(|last| to > last) {
        return Err(Error::protocol(format!("got bytes up to {to}, which is more than was asked")));
    }
    // Where the size of the whole is not told, nobody knows whether there is more.
    let end = whole.map(|whole| last.map_or(whole, |last| whole.min(last + 1)));
    Ok(end
        .filter(|end| to + 1 < *end)
        .map(|end| ShortRange { got: to + 1 - first, of: end - first }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Head {
        Head::of(206, fields)
    }

    #[test]
    fn ranges_are_checked_before_they_are_sent() {
        assert_eq!(read("0-99, -5").unwrap(), "bytes=0-99,-5");
        for bad in ["", "-", "5", "9-5", "a-b", "0-99\r\nX: y", "0-99\r\n", "0-1,", "bytes=0-1"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    fn piece(range: &str, asked: &str) -> Result<Option<ShortRange>, Error> {
        check_piece(&head(&[("Content-Range", range)]), RangeSpec::of(&read(asked).unwrap()))
    }

    #[test]
    fn a_piece_must_be_the_piece_that_was_asked_for() {
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
        assert!(check_piece(&head(&[]), RangeSpec::From(5, None)).is_err());
        assert!(check_piece(&head(&[]), RangeSpec::Several).unwrap().is_none());
    }

    #[test]
    fn a_piece_that_ends_early_is_told_with_what_is_missing() {
        for (range, asked, got, of) in [
            ("bytes 5-7/10", "5-", 3, 5),
            ("bytes 0-2/10", "0-4", 3, 5),
            ("bytes 7-8/10", "-3", 2, 3),
        ] {
            assert_eq!(
                piece(range, asked).unwrap(),
                Some(ShortRange { got, of }),
                "{range} {asked}"
            );
        }
        assert_eq!(piece("bytes 5-7/*", "5-").unwrap(), None);
    }

    #[test]
    fn two_ranges_that_differ_are_none() {
        let range = |value| ("Content-Range", value);
        assert!(content_range(&head(&[range("bytes 0-1/3"), range("bytes 1-2/3")])).is_err());
        let same = head(&[range("bytes 0-1/3"), range("bytes 0-1/3")]);
        assert_eq!(piece_length(&same), Some(2));
        let kind = ("Content-Type", "multipart/byteranges; boundary=x");
        assert_eq!(piece_length(&head(&[range("bytes 0-1/3"), kind])), None);
    }
}
