//! Pieces of a body (RFC 9110 §14): what is asked for, and whether that is what came.

use super::error::Error;
use super::head::Head;
use super::syntax::{decimal, quote, trim};

/// Checks the user's `--range` (`0-99`, `100-`, `-100`, several with commas) and makes the value
/// of Range.
pub fn read(text: &str) -> Result<String, Error> {
    let bad = || Error::usage(format!("'{text}' is not a range such as 0-99, 100- or -100"));
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

/// Where the one piece begins that a value of [`read`] asks for; none if it asks for several, or
/// for the end of something whose size it does not know.
pub fn first(value: &str) -> Option<u64> {
    let piece = value.strip_prefix("bytes=").filter(|rest| !rest.contains(','))?;
    decimal(piece.split('-').next()?.as_bytes())
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
/// Refuses (8) one that is malformed or at odds with itself.
pub fn content_range(head: &Head) -> Result<Option<ContentRange>, Error> {
    let Some(value) = head.first("content-range") else {
        return Ok(None);
    };
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

/// Judges a 206 that should begin at byte `first`: the piece it announces must begin there, and
/// be as long as its Content-Length says (8).
pub fn check_piece(head: &Head, first: Option<u64>) -> Result<Option<ContentRange>, Error> {
    let told = content_range(head)?;
    let Some(ContentRange { piece: Some((from, to)), .. }) = told else {
        // Several pieces come as multipart/byteranges, without a Content-Range of their own.
        return match first {
            Some(_) => Err(Error::protocol("206 without a Content-Range")),
            None => Ok(told),
        };
    };
    if first.is_some_and(|first| first != from) {
        let first = first.unwrap_or_default();
        return Err(Error::protocol(format!("asked for bytes from {first}, got them from {from}")));
    }
    let length = head.first("content-length").and_then(decimal);
    if head.tokens("transfer-encoding").is_empty() && length.is_some_and(|n| n != to - from + 1) {
        return Err(Error::protocol("Content-Range and Content-Length differ"));
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Field;

    fn head(fields: &[(&str, &str)]) -> Head {
        let field = |(name, value): &(&str, &str)| Field {
            name: name.to_string(),
            value: value.as_bytes().to_vec(),
        };
        let fields = fields.iter().map(field).collect();
        Head {
            minor: 1,
            status: 206,
            reason: Vec::new(),
            fields,
            raw: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn ranges_are_checked_before_they_are_sent() {
        assert_eq!(read("0-99, -5").unwrap(), "bytes=0-99,-5");
        for bad in ["", "-", "5", "9-5", "a-b", "0-99\r\nX: y", "0-1,", "bytes=0-1"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_piece_must_be_the_piece_that_was_asked_for() {
        let good = head(&[("Content-Range", "bytes 5-9/10"), ("Content-Length", "5")]);
        let told = check_piece(&good, Some(5)).unwrap().unwrap();
        assert_eq!(told, ContentRange { piece: Some((5, 9)), whole: Some(10) });
        assert!(check_piece(&good, Some(4)).is_err());
        for bad in ["bytes 9-5/10", "bytes 5-10/10", "bytes 5/10", "5-9/10", "bytes +5-9/10"] {
            assert!(check_piece(&head(&[("Content-Range", bad)]), Some(5)).is_err(), "{bad}");
        }
        let short = head(&[("Content-Range", "bytes 5-9/10"), ("Content-Length", "4")]);
        assert!(check_piece(&short, Some(5)).is_err());
        assert!(check_piece(&head(&[]), Some(5)).is_err());
        assert!(check_piece(&head(&[]), None).unwrap().is_none());
    }
}
