//! Bytes that a peer chose, on their way to a terminal: text passes, what a terminal would act on
//! is shown as an escape.

use super::escape::{code, is_dangerous};

/// Bytes of parameters in the longest SGR sequence that passes.
const MAX_PARAMETERS: usize = 32;

/// What passes besides printable text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Tabs: the text stays on its line.
    Tabs,
    /// Tabs and line ends.
    Lines,
    /// Tabs, line ends and colour: SGR sequences (ECMA-48 §8.3.117).
    LinesAndColour,
}

impl Allowed {
    /// Bytes at the front of `text` that pass although a terminal acts on them.
    fn length(self, text: &str) -> usize {
        match text.as_bytes() {
            [b'\t' | b'\\', ..] => 1,
            [b'\n', ..] if self != Allowed::Tabs => 1,
            [b'\r', b'\n', ..] if self != Allowed::Tabs => 2,
            [b'\x1b', b'[', rest @ ..] if self == Allowed::LinesAndColour => {
                let end = parameters(rest);
                if rest.get(end) == Some(&b'm') { end + 3 } else { 0 }
            }
            _ => 0,
        }
    }

    /// Bytes at the end that may mean something else once more has come.
    fn unfinished(self, bytes: &[u8]) -> usize {
        if self != Allowed::Tabs && bytes.ends_with(b"\r") {
            return 1;
        }
        if self == Allowed::LinesAndColour
            && let Some(at) = bytes.iter().rposition(|byte| *byte == b'\x1b')
            && let [b'\x1b'] | [b'\x1b', b'[', ..] = bytes[at..]
        {
            let rest = bytes.get(at + 2..).unwrap_or_default();
            if parameters(rest) == rest.len() {
                return bytes.len() - at;
            }
        }
        unfinished_character(bytes)
    }
}

/// How many of these bytes are parameters of one SGR sequence.
fn parameters(bytes: &[u8]) -> usize {
    let is_parameter = |byte: &&u8| byte.is_ascii_digit() || matches!(byte, b';' | b':');
    bytes.iter().take(MAX_PARAMETERS).take_while(is_parameter).count()
}

fn unfinished_character(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    match tail.iter().rposition(|byte| *byte >= 0xc0) {
        Some(at) if std::str::from_utf8(&tail[at..]).is_err_and(|e| e.error_len().is_none()) => {
            tail.len() - at
        }
        _ => 0,
    }
}

/// Shows text piece by piece; a character or a sequence may be split between two pieces.
#[derive(Debug)]
pub struct Shown {
    allowed: Allowed,
    /// The beginning of a character or of a sequence, or a CR that may belong to a line end.
    held: Vec<u8>,
}

impl Shown {
    /// Nothing shown yet.
    pub fn new(allowed: Allowed) -> Shown {
        Shown { allowed, held: Vec::new() }
    }

    /// The next piece as it may be shown.
    pub fn piece(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let whole = all.len() - self.allowed.unfinished(&all);
        self.held = all.split_off(whole);
        show(&all, self.allowed).into_bytes()
    }

    /// What is left when no more comes.
    pub fn rest(&mut self) -> Vec<u8> {
        show(&std::mem::take(&mut self.held), self.allowed).into_bytes()
    }
}

/// All of `bytes` as they may be shown: other control characters, bidi controls and bytes that
/// are not UTF-8 as `\xNN` or `\u{N}`.
pub fn show(bytes: &[u8], allowed: Allowed) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut text = chunk.valid();
        while let Some(c) = text.chars().next() {
            let length = match allowed.length(text) {
                0 if is_dangerous(c) => 0,
                length => length.max(c.len_utf8()),
            };
            match length {
                0 => shown.push_str(&code(c)),
                length => shown.push_str(&text[..length]),
            }
            text = &text[length.max(c.len_utf8())..];
        }
        shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        let mut shown = Shown::new(Allowed::Lines);
        let text = "a\tb\\\r\nc\rd\x1b[2J\u{9b}é\n".as_bytes();
        assert_eq!(shown.piece(text), "a\tb\\\r\nc\\x0dd\\x1b[2J\\x9bé\n".as_bytes());
        assert_eq!(shown.piece(b"\xff\r"), b"\\xff");
        assert_eq!(shown.rest(), b"\\x0d");
    }

    #[test]
    fn colour_passes_and_no_other_sequence() {
        let pass = |text: &str| show(text.as_bytes(), Allowed::LinesAndColour);
        for colour in ["\x1b[m", "\x1b[0m", "\x1b[1;31mred\x1b[38;5;9m", "\x1b[4:3m"] {
            assert_eq!(pass(colour), colour);
        }
        let long = format!("\x1b[{}m", "1".repeat(MAX_PARAMETERS + 1));
        for (text, shown) in [
            ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
            ("\x1b[2J\x1b[1A", "\\x1b[2J\\x1b[1A"),
            ("\x1b[?1m\x1b[>4m", "\\x1b[?1m\\x1b[>4m"),
            ("a\x08b\u{9b}31m", "a\\x08b\\x9b31m"),
            ("\x1b\x1b[31m", "\\x1b\x1b[31m"),
            (&long, &long.replace('\x1b', "\\x1b")),
        ] {
            assert_eq!(pass(text), shown);
        }
    }

    #[test]
    fn text_that_stays_on_its_line_keeps_tabs_alone() {
        assert_eq!(show(b"a\tb\r\nc\x1b[1m", Allowed::Tabs), "a\tb\\x0d\\x0ac\\x1b[1m");
    }

    proptest! {
        #[test]
        fn any_split_shows_the_same(
            text in "[\x1b\\[\\]0-9;:mJé\u{9b}\r\n]{0,60}",
            noise in prop::collection::vec(any::<u8>(), 0..9),
            cut in 0..90_usize,
        ) {
            let bytes = [text.as_bytes(), &noise, text.as_bytes()].concat();
            for allowed in [Allowed::Lines, Allowed::LinesAndColour] {
                let (a, b) = bytes.split_at(cut.min(bytes.len()));
                let mut split = Shown::new(allowed);
                let split = [split.piece(a), split.piece(b), split.rest()].concat();
                prop_assert_eq!(String::from_utf8(split).unwrap(), show(&bytes, allowed));
            }
        }
    }
}
