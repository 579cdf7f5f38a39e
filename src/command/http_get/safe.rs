//! A body on its way to a terminal: text whose control bytes are shown, or refused as binary.

use crate::report::escape::is_dangerous;

/// How much of a body is looked at before it is called text.
const SAMPLE: usize = 2000;

/// Whether these first bytes are no text: a NUL, or more than one byte in eight that no text has,
/// in whatever character set.
pub fn is_binary(body: &[u8]) -> bool {
    let sample = &body[..body.len().min(SAMPLE)];
    let control =
        |byte: &&u8| (**byte < b' ' && !b"\t\n\r\x0c\x1b\x08".contains(byte)) || **byte == 0x7f;
    let odd = sample.iter().filter(control).count();
    sample.contains(&0) || odd * 8 > sample.len()
}

/// Shows text piece by piece; a character may be cut between two pieces.
#[derive(Debug, Default)]
pub struct Shown {
    /// The beginning of a character, or a CR that may belong to a line end.
    held: Vec<u8>,
}

impl Shown {
    /// The next piece as it may be shown: line ends and tabs as they are, other control
    /// characters and stray bytes as `\xNN`.
    pub fn piece(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let whole = all.len() - unfinished(&all);
        self.held = all.split_off(whole);
        show(&all)
    }

    /// What is left when the body is over.
    pub fn rest(&mut self) -> Vec<u8> {
        show(&std::mem::take(&mut self.held))
    }
}

/// How many bytes at the end may mean something else once more has come.
fn unfinished(bytes: &[u8]) -> usize {
    if bytes.ends_with(b"\r") {
        return 1;
    }
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    match tail.iter().rposition(|byte| *byte >= 0xc0) {
        Some(at) if std::str::from_utf8(&tail[at..]).is_err_and(|e| e.error_len().is_none()) => {
            tail.len() - at
        }
        _ => 0,
    }
}

fn show(bytes: &[u8]) -> Vec<u8> {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut text = chunk.valid().chars().peekable();
        while let Some(c) = text.next() {
            match c {
                '\n' | '\t' | '\\' => shown.push(c),
                '\r' if text.peek() == Some(&'\n') => shown.push(c),
                c if is_dangerous(c) && u32::from(c) < 0x100 => {
                    shown.push_str(&format!("\\x{:02x}", u32::from(c)));
                }
                c if is_dangerous(c) => shown.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
                c => shown.push(c),
            }
        }
        shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    shown.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_text_and_the_rest_is_not() {
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

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        let mut shown = Shown::default();
        let text = "a\tb\\\r\nc\rd\x1b[2J\u{9b}é\n".as_bytes();
        assert_eq!(shown.piece(text), "a\tb\\\r\nc\\x0dd\\x1b[2J\\x9bé\n".as_bytes());
        assert_eq!(shown.piece(b"\xff\r"), b"\\xff");
        assert_eq!(shown.rest(), b"\\x0d");
    }

    proptest! {
        #[test]
        fn any_split_shows_the_same(bytes in prop::collection::vec(any::<u8>(), 0..60), cut in 0..60_usize) {
            let mut whole = Shown::default();
            let at_once = [whole.piece(&bytes), whole.rest()].concat();
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            let mut split = Shown::default();
            prop_assert_eq!([split.piece(a), split.piece(b), split.rest()].concat(), at_once);
        }
    }
}
