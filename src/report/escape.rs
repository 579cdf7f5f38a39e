//! Escapes text from a peer or a name server, so that a terminal does not act on it.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes everything that could move a cursor, start a line or change the writing direction: C0,
/// DEL, C1, line and paragraph separators, bidi controls, and the backslash itself so that the
/// result is unambiguous.
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_with(text, |_| 0, short_code)
}

/// As [`escape`], but keeps backslashes: for text of the user, and for DNS names, which have
/// escapes of their own (RFC 1035 §5.1).
pub fn escape_keep_backslash(text: &str) -> Cow<'_, str> {
    escape_with(text, backslash_length, short_code)
}

/// As [`escape`], for bytes that need not be UTF-8; any other byte becomes `\xNN`.
pub fn escape_bytes(bytes: &[u8]) -> String {
    escape_chunks(bytes, escape)
}

/// Escapes a JSON document by `\uNNNN`. serde_json escapes C0; the other characters can only be
/// in strings.
pub(super) fn escape_json(json: &str) -> Cow<'_, str> {
    escape_with(json, backslash_length, |c| format!("\\u{:04x}", u32::from(c)))
}

/// Escapes the UTF-8 parts of `bytes` by `escape`, and any other byte as `\xNN`.
pub(super) fn escape_chunks(bytes: &[u8], escape: impl Fn(&str) -> Cow<'_, str>) -> String {
    let mut escaped = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        escaped.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    escaped
}

/// Replaces each dangerous character by its `code`, unless `allowed_length` of the text from there
/// on is not 0: so many bytes are kept.
pub(super) fn escape_with(
    text: &str,
    allowed_length: impl Fn(&str) -> usize,
    code: impl Fn(char) -> String,
) -> Cow<'_, str> {
    let (mut escaped, mut kept, mut at) = (String::new(), 0, 0);
    while let Some((start, c)) = text[at..].char_indices().find(|(_, c)| is_dangerous(*c)) {
        at += start;
        match allowed_length(&text[at..]) {
            0 => {
                escaped.push_str(&text[kept..at]);
                escaped.push_str(&code(c));
                at += c.len_utf8();
                kept = at;
            }
            length => at += length,
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    escaped.push_str(&text[kept..]);
    Cow::Owned(escaped)
}

fn backslash_length(text: &str) -> usize {
    usize::from(text.starts_with('\\'))
}

fn short_code(c: char) -> String {
    match c {
        '\n' => "\\n".to_string(),
        '\r' => "\\r".to_string(),
        '\t' => "\\t".to_string(),
        '\\' => "\\\\".to_string(),
        c => code(c),
    }
}

/// The number of `c`: `\xNN`, or `\u{N}` from U+0100 on.
pub(super) fn code(c: char) -> String {
    match u32::from(c) {
        number @ ..0x100 => format!("\\x{number:02x}"),
        number => format!("\\u{{{number:x}}}"),
    }
}

/// Whether a terminal would act on `c`, or that looks like an escape.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\\' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_is_unchanged() {
        assert!(matches!(escape("已接收到数据 Michael"), Cow::Borrowed(_)));
    }

    #[test]
    fn controls_separators_and_bidi_are_escaped() {
        assert_eq!(escape("a\x1b[2J\r\n\u{9b}\u{202e}\\"), r"a\x1b[2J\r\n\x9b\u{202e}\\");
        assert_eq!(escape_bytes(b"a\xff\x00b"), r"a\xff\x00b");
    }

    #[test]
    fn backslashes_of_the_user_are_kept() {
        assert_eq!(escape_keep_backslash(r"/\d+\x1b/"), r"/\d+\x1b/");
        assert_eq!(escape_keep_backslash("/\\d\x1b\n/"), r"/\d\x1b\n/");
    }

    proptest! {
        #[test]
        fn no_dangerous_character_passes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let escaped = escape_bytes(&bytes);
            let passes = escaped.chars().any(|c| c.is_control() || c == '\u{202e}');
            prop_assert!(!passes);
        }
    }
}
