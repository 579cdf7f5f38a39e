//! Making text that a peer or a name server chose harmless for a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with everything that could move a cursor, start a line or turn the writing direction
/// shown as an escape: C0, DEL, C1, line and paragraph separators, bidi controls, and the
/// backslash itself so that what is shown is unambiguous.
pub fn escape(text: &str) -> Cow<'_, str> {
    match text.chars().any(is_dangerous) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(text.chars().fold(String::new(), push_escaped)),
    }
}

/// As [`escape`], but a backslash stays single: for words of the user's, who knows what was typed,
/// where an escape that the peer spelt out does no harm.
pub fn escape_keep_backslash(text: &str) -> Cow<'_, str> {
    match text.chars().any(|c| c != '\\' && is_dangerous(c)) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(text.chars().fold(String::new(), |mut shown, c| match c {
            '\\' => {
                shown.push(c);
                shown
            }
            c => push_escaped(shown, c),
        })),
    }
}

/// As [`escape`], for bytes that need not be UTF-8; a stray byte is shown as `\xNN`.
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        shown = chunk.valid().chars().fold(shown, push_escaped);
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

fn push_escaped(mut shown: String, c: char) -> String {
    let _ = match c {
        '\n' => write!(shown, "\\n"),
        '\r' => write!(shown, "\\r"),
        '\t' => write!(shown, "\\t"),
        '\\' => write!(shown, "\\\\"),
        c if is_dangerous(c) => write!(shown, "{}", code(c)),
        c => write!(shown, "{c}"),
    };
    shown
}

/// The number of `c` as an escape: `\xNN`, or `\u{N}` from U+0100 on.
pub fn code(c: char) -> String {
    match u32::from(c) {
        number @ ..0x100 => format!("\\x{number:02x}"),
        number => format!("\\u{{{number:x}}}"),
    }
}

/// Whether a terminal would act on `c`, or a reader could not tell it from an escape.
pub fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\\' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_is_untouched() {
        assert!(matches!(escape("已接收到数据 Michael"), Cow::Borrowed(_)));
    }

    #[test]
    fn controls_separators_and_bidi_are_shown() {
        assert_eq!(escape("a\x1b[2J\r\n\u{9b}\u{202e}\\"), r"a\x1b[2J\r\n\x9b\u{202e}\\");
        assert_eq!(escape_bytes(b"a\xff\x00b"), r"a\xff\x00b");
    }

    #[test]
    fn what_the_user_typed_is_shown_as_typed() {
        assert_eq!(escape_keep_backslash(r"/\d+\x1b/"), r"/\d+\x1b/");
        assert_eq!(escape_keep_backslash("/\\d\x1b\n/"), r"/\d\x1b\n/");
    }

    proptest! {
        #[test]
        fn nothing_dangerous_survives(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let shown = escape_bytes(&bytes);
            let obeyed = shown.chars().any(|c| c.is_control() || c == '\u{202e}');
            prop_assert!(!obeyed);
        }
    }
}
