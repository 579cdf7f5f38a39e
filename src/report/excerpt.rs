//! The beginning of transferred bytes as text, for one line of the log.

use serde::Serialize;

use super::escape::escape_bytes;

/// Bytes of an excerpt.
const LENGTH: usize = 64;

/// The first bytes of a transfer, escaped. All of it may come from a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Excerpt {
    /// Up to 64 bytes, escaped as `escape_bytes` does, and quotes too.
    pub text: String,
    /// Whether there are more.
    #[serde(skip)]
    pub is_truncated: bool,
    /// Whether they do not look like text.
    #[serde(skip)]
    pub is_binary: bool,
}

impl Excerpt {
    /// The beginning of `bytes`; no character is split.
    pub fn of(bytes: &[u8]) -> Excerpt {
        let end = excerpt_end(bytes);
        let start = &bytes[..end];
        Excerpt {
            text: escape_bytes(start).replace('"', "\\\""),
            is_truncated: end < bytes.len(),
            is_binary: is_binary(start),
        }
    }

    /// The text in quotes, with an ellipsis and a hint where they apply.
    pub fn quoted(&self) -> String {
        let ellipsis = if self.is_truncated { "…" } else { "" };
        let hint = if self.is_binary { " (binary; --hex shows all bytes)" } else { "" };
        format!("\"{}\"{ellipsis}{hint}", self.text)
    }
}

/// The beginning of the bytes, after a colon.
pub fn quoted(data: Option<&Excerpt>) -> String {
    data.map(|data| format!(": {}", data.quoted())).unwrap_or_default()
}

/// Where the excerpt ends: at most [`LENGTH`] bytes, and at the start of a character.
fn excerpt_end(bytes: &[u8]) -> usize {
    let is_continuation = |at: &usize| bytes[*at] & 0xc0 == 0x80;
    match bytes.len() {
        len @ ..=LENGTH => len,
        // A character has four bytes at most; other bytes are no UTF-8.
        _ => (LENGTH - 3..=LENGTH).rev().find(|at| !is_continuation(at)).unwrap_or(LENGTH),
    }
}

/// Whether more than a tenth of the bytes is neither text nor white space.
fn is_binary(bytes: &[u8]) -> bool {
    let chunks = bytes.utf8_chunks();
    let odd: usize = chunks
        .map(|chunk| {
            let controls = chunk.valid().chars().filter(|c| c.is_control() && !c.is_whitespace());
            controls.count() + chunk.invalid().len()
        })
        .sum();
    odd * 10 > bytes.len()
}

/// A number with a comma between thousands.
pub fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many bytes, in words.
pub fn byte_count(bytes: u64) -> String {
    let unit = if bytes == 1 { "byte" } else { "bytes" };
    format!("{} {unit}", group_digits(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_and_escaped() {
        assert_eq!(
            Excerpt::of(b"a \"b\"\r\n\x1b").quoted(),
            r#""a \"b\"\r\n\x1b" (binary; --hex shows all bytes)"#
        );
        assert_eq!(Excerpt::of("已接收到数据".as_bytes()).quoted(), "\"已接收到数据\"");
    }

    #[test]
    fn long_text_ends_between_characters() {
        let excerpt = Excerpt::of("接".repeat(30).as_bytes());
        assert_eq!((excerpt.text, excerpt.is_truncated), ("接".repeat(21), true));
        assert_eq!(Excerpt::of(&[b'x'; 64]).quoted(), format!("\"{}\"", "x".repeat(64)));
        assert_eq!(Excerpt::of(&[0xbf; 70]).text, "\\xbf".repeat(64));
    }

    #[test]
    fn binary_data_has_a_hint() {
        assert!(Excerpt::of(b"\x16\x03\x01\x00").is_binary);
        assert!(!Excerpt::of(b"one\ttwo\r\n").is_binary);
        assert!(!Excerpt::of(b"").is_binary);
    }

    #[test]
    fn digits_are_grouped() {
        let grouped = [0, 999, 1024, 65_536, 1_234_567].map(group_digits);
        assert_eq!(grouped, ["0", "999", "1,024", "65,536", "1,234,567"]);
        assert_eq!((byte_count(1), byte_count(2048)), ("1 byte".into(), "2,048 bytes".into()));
    }
}
