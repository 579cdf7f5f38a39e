//! The basic grammar of HTTP: tokens, white space, lists (RFC 9110 §5.6).

use super::error::Error;

/// Whether malformed but unambiguous syntax is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leniency {
    /// It is an error.
    Strict,
    /// It is accepted.
    Lenient,
}

/// Whether `byte` is allowed in a token: a method, a field name, the name of a coding.
pub fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether `text` is a token.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(is_tchar)
}

/// Removes spaces and tabs at both ends.
pub fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The elements of a comma list, trimmed, empty ones included.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim)
}

/// Parses a decimal number of digits only, at most [`i64::MAX`].
pub fn decimal(text: &[u8]) -> Option<u64> {
    let plain = (1..=19).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let number: u64 = std::str::from_utf8(text).ok().filter(|_| plain)?.parse().ok()?;
    (number <= i64::MAX as u64).then_some(number)
}

/// The first 60 bytes of untrusted data in quotes, for a message that is escaped when printed.
pub fn quote(bytes: &[u8]) -> String {
    const MAX_LEN: usize = 60;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_LEN)]);
    let more = if bytes.len() > MAX_LEN { "..." } else { "" };
    format!("\"{shown}{more}\"")
}

/// Removes the end of a line; fails with 8 on a NUL or a bare CR.
pub fn strip_line_end(line: &[u8]) -> Result<&[u8], Error> {
    let text = match line {
        [text @ .., b'\r', b'\n'] => text,
        [text @ .., b'\n'] => text,
        text => text,
    };
    match text.iter().find(|byte| matches!(byte, 0 | b'\r')) {
        Some(0) => Err(Error::protocol(format!("NUL in {}", quote(text)))),
        Some(_) => Err(Error::protocol(format!("bare CR in {}", quote(text)))),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_has_only_digits() {
        assert_eq!(decimal(b"6"), Some(6));
        assert_eq!(decimal(b"9223372036854775807"), Some(i64::MAX as u64));
        for bad in
            ["", "+6", "-6", "0x6", "6abc", "6 ", "9223372036854775808", "00000000000000000006"]
        {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
