//! Parsers of flag values: limits, sizes, and C escapes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::service::template::Template;
pub use crate::units::{duration, rate, size};

/// A time limit; `None`, written `0`, is no limit.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Option<Duration>);

/// Parses a [`Limit`]: a [`duration`], or 0 for no limit.
pub fn limit(word: &str) -> Result<Limit, String> {
    let time = duration(word)?;
    Ok(Limit((!time.is_zero()).then_some(time)))
}

/// Parses a [`size`] within the kernel's buffer options (an `int`).
pub fn buffer_size(word: &str) -> Result<usize, String> {
    match size(word)? {
        bytes @ 1..=0x7fff_ffff => Ok(bytes as usize),
        _ => Err(format!("'{word}' is not a buffer size from 1 to 2147483647 bytes")),
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

/// The clap parser for a [`Template`] with C escapes, as [`unescape_bytes`].
pub fn template() -> impl TypedValueParser<Value = Template> {
    text().try_map(|text| Template::parse(&text))
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
    fn limit_of_zero_is_none() {
        assert_eq!(limit("0"), Ok(Limit(None)));
        assert_eq!(limit("1"), Ok(Limit(Some(Duration::from_secs(1)))));
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
            let _ = unescape(&word);
        }
    }
}
