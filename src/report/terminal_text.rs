//! Escapes a peer's bytes that are printed on a terminal: text passes, and so do some controls.

use super::escape::{code, escape_chunks, escape_with};

/// Bytes of parameters in the longest SGR sequence that is allowed.
const MAX_PARAMETERS: usize = 32;

/// What is allowed besides printable text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowedControls {
    /// Tabs only: the text stays on its line.
    Tabs,
    /// Tabs and line ends.
    Lines,
    /// Tabs, line ends and color: SGR sequences (ECMA-48 §8.3.117).
    LinesAndColor,
}

impl AllowedControls {
    /// Bytes at the start of `text` that are allowed although a terminal acts on them.
    fn length(self, text: &str) -> usize {
        match text.as_bytes() {
            [b'\t' | b'\\', ..] => 1,
            [b'\n', ..] if self != AllowedControls::Tabs => 1,
            [b'\r', b'\n', ..] if self != AllowedControls::Tabs => 2,
            [b'\x1b', b'[', rest @ ..] if self == AllowedControls::LinesAndColor => {
                let end = parameters_length(rest);
                if rest.get(end) == Some(&b'm') { end + 3 } else { 0 }
            }
            _ => 0,
        }
    }

    /// Bytes at the end that cannot be classified without the next part.
    fn incomplete_length(self, bytes: &[u8]) -> usize {
        if self != AllowedControls::Tabs && bytes.ends_with(b"\r") {
            return 1;
        }
        if self == AllowedControls::LinesAndColor
            && let Some(at) = bytes.iter().rposition(|byte| *byte == b'\x1b')
            && let [b'\x1b'] | [b'\x1b', b'[', ..] = bytes[at..]
        {
            let rest = bytes.get(at + 2..).unwrap_or_default();
            if parameters_length(rest) == rest.len() {
                return bytes.len() - at;
            }
        }
        incomplete_character_length(bytes)
    }
}

/// Bytes at the start that are parameters of one SGR sequence.
fn parameters_length(bytes: &[u8]) -> usize {
    let is_parameter = |byte: &&u8| byte.is_ascii_digit() || matches!(byte, b';' | b':');
    bytes.iter().take(MAX_PARAMETERS).take_while(is_parameter).count()
}

fn incomplete_character_length(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    match tail.iter().rposition(|byte| *byte >= 0xc0) {
        Some(at) if std::str::from_utf8(&tail[at..]).is_err_and(|e| e.error_len().is_none()) => {
            tail.len() - at
        }
        _ => 0,
    }
}

/// Escapes text in parts; a character or a sequence may be split between two of them.
#[derive(Debug)]
pub struct TerminalEscaper {
    allowed: AllowedControls,
    /// The start of a character or of a sequence, or a CR that may belong to a line end.
    pending: Vec<u8>,
}

impl TerminalEscaper {
    /// At the start of a text.
    pub fn new(allowed: AllowedControls) -> TerminalEscaper {
        TerminalEscaper { allowed, pending: Vec::new() }
    }

    /// Escapes the next part, except for an incomplete end.
    pub fn escape(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.pending);
        all.extend_from_slice(bytes);
        let complete = all.len() - self.allowed.incomplete_length(&all);
        self.pending = all.split_off(complete);
        escape_for_terminal(&all, self.allowed).into_bytes()
    }

    /// Escapes the incomplete end of the text.
    pub fn finish(&mut self) -> Vec<u8> {
        escape_for_terminal(&std::mem::take(&mut self.pending), self.allowed).into_bytes()
    }
}

/// Escapes all of `bytes`: other control characters, bidi controls and bytes that are not UTF-8
/// become `\xNN` or `\u{N}`.
pub fn escape_for_terminal(bytes: &[u8], allowed: AllowedControls) -> String {
    escape_chunks(bytes, |text| escape_with(text, |rest| allowed.length(rest), code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn controls_are_escaped_and_line_ends_pass() {
        let mut escaper = TerminalEscaper::new(AllowedControls::Lines);
        let text = "a\tb\\\r\nc\rd\x1b[2J\u{9b}é\n".as_bytes();
        assert_eq!(escaper.escape(text), "a\tb\\\r\nc\\x0dd\\x1b[2J\\x9bé\n".as_bytes());
        assert_eq!(escaper.escape(b"\xff\r"), b"\\xff");
        assert_eq!(escaper.finish(), b"\\x0d");
    }

    #[test]
    fn color_passes_and_no_other_sequence() {
        let pass =
            |text: &str| escape_for_terminal(text.as_bytes(), AllowedControls::LinesAndColor);
        for color in ["\x1b[m", "\x1b[0m", "\x1b[1;31mred\x1b[38;5;9m", "\x1b[4:3m"] {
            assert_eq!(pass(color), color);
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
    fn tabs_alone_pass_on_one_line() {
        assert_eq!(
            escape_for_terminal(b"a\tb\r\nc\x1b[1m", AllowedControls::Tabs),
            "a\tb\\x0d\\x0ac\\x1b[1m"
        );
    }

    proptest! {
        #[test]
        fn any_split_has_the_same_result(
            text in "[\x1b\\[\\]0-9;:mJé\u{9b}\r\n]{0,60}",
            noise in prop::collection::vec(any::<u8>(), 0..9),
            cut in 0..90_usize,
        ) {
            let bytes = [text.as_bytes(), &noise, text.as_bytes()].concat();
            for allowed in [AllowedControls::Lines, AllowedControls::LinesAndColor] {
                let (a, b) = bytes.split_at(cut.min(bytes.len()));
                let mut split = TerminalEscaper::new(allowed);
                let split = [split.escape(a), split.escape(b), split.finish()].concat();
                prop_assert_eq!(String::from_utf8(split).unwrap(), escape_for_terminal(&bytes, allowed));
            }
        }
    }
}
