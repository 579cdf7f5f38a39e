//! Detects binary data, which is not written to a terminal.

/// How many bytes of a body are examined.
const SAMPLE: usize = 2000;

/// Whether a body that begins with these bytes is binary: a NUL, or more than one byte in eight is
/// a control character that text has in no character set.
pub fn is_binary(body: &[u8]) -> bool {
    let sample = &body[..body.len().min(SAMPLE)];
    let control =
        |byte: &&u8| (**byte < b' ' && !b"\t\n\r\x0c\x1b\x08".contains(byte)) || **byte == 0x7f;
    let controls = sample.iter().filter(control).count();
    sample.contains(&0) || controls * 8 > sample.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_any_character_set_is_not_binary() {
        for text in ["", "hello\r\n", "\x1b[1mbold\x1b[0m", "grüße 已接收"] {
            assert!(!is_binary(text.as_bytes()), "{text}");
        }
        for text in [&b"gr\xfc\xdfe \xe9\xe8\xe0"[..], b"\xc3", b"\xe5\xb7"] {
            assert!(!is_binary(text), "{text:?}");
        }
        for binary in [&b"a\0b"[..], b"\x89PNG\r\n\x1a\n\0\0", b"\x1f\x8b\x08\xff\xfe\xfd"] {
            assert!(is_binary(binary), "{binary:?}");
        }
    }
}
