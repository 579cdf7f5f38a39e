//! A line editor with history. The line is bytes, not text, so that input in an encoding other than
//! UTF-8 is sent as it was typed; no crate with a line editor allows that.

use std::ops::Range;

use unicode_width::UnicodeWidthStr;

use crate::report::escape::{escape_bytes, escape_keep_backslash};

/// Maximum number of lines in the history.
const MAX_HISTORY: usize = 100;
/// Maximum number of bytes in a line; a line of this length is entered.
const MAX_LINE: usize = 1 << 20;
/// Maximum number of bytes in the escape sequence of a key.
const MAX_SEQUENCE: usize = 16;

/// The effect of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyEffect {
    /// The line may have changed.
    Edited,
    /// The line is complete.
    Entered(Vec<u8>),
    /// ^D on an empty line.
    Eof,
    /// ^Z.
    Suspend,
}

/// The edited line, its cursor, and the history.
#[derive(Debug, Default)]
pub struct LineEditor {
    line: Vec<u8>,
    /// Byte offset in the line.
    cursor: usize,
    history: Vec<Vec<u8>>,
    /// Index of the edited line in the history; the history's length for a new line.
    history_index: usize,
    /// The new line, while an earlier one is edited.
    draft: Vec<u8>,
    /// The beginning of an escape sequence.
    sequence: Vec<u8>,
}

/// The visible part of a line.
#[derive(Debug, PartialEq, Eq)]
pub struct LineView {
    /// Text without control characters.
    pub text: String,
    /// Column of the cursor, from 0.
    pub column: usize,
}

impl LineEditor {
    /// Processes one typed byte; the keys are those of Emacs, as in bash (readline(3)).
    pub fn on_key(&mut self, byte: u8) -> KeyEffect {
        if self.sequence.len() == 1 && byte < b' ' {
            self.sequence.clear();
        }
        match byte {
            b'\x1b' => self.sequence = vec![byte],
            _ if !self.sequence.is_empty() => self.continue_sequence(byte),
            b'\r' | b'\n' => return KeyEffect::Entered(self.enter()),
            b'\t' | b' '..=b'~' | 0x80.. => {
                self.line.insert(self.cursor, byte);
                self.cursor += 1;
            }
            _ => match byte ^ b'@' {
                b'D' if self.line.is_empty() => return KeyEffect::Eof,
                b'Z' => return KeyEffect::Suspend,
                key => self.on_control(key),
            },
        }
        if self.line.len() < MAX_LINE {
            KeyEffect::Edited
        } else {
            KeyEffect::Entered(self.enter())
        }
    }

    /// Processes a control character: ^A is `A`, backspace ^H, or ^? on most terminals.
    fn on_control(&mut self, key: u8) {
        match key {
            b'D' => self.remove(self.cursor..self.next()),
            b'H' | b'?' => self.remove(self.previous()..self.cursor),
            b'A' => self.cursor = 0,
            b'E' => self.cursor = self.line.len(),
            b'B' => self.cursor = self.previous(),
            b'F' => self.cursor = self.next(),
            b'K' => self.remove(self.cursor..self.line.len()),
            b'U' => self.remove(0..self.cursor),
            b'W' => self.remove(self.previous_word()..self.cursor),
            b'P' => self.recall(self.history_index.saturating_sub(1)),
            b'N' => self.recall(self.history_index + 1),
            _ => {}
        }
    }

    fn continue_sequence(&mut self, byte: u8) {
        self.sequence.push(byte);
        let is_complete = match self.sequence[..] {
            [_, b'[' | b'O'] | [_, b'[', b'['] => false,
            [_, b'[', .., last] => (b'@'..=b'~').contains(&last),
            _ => true,
        };
        if is_complete {
            let sequence = std::mem::take(&mut self.sequence);
            self.run_sequence(&sequence[1..]);
        } else if self.sequence.len() > MAX_SEQUENCE {
            self.sequence.clear();
        }
    }

    /// Processes the escape sequence of a key (xterm, VT220, Linux console).
    fn run_sequence(&mut self, sequence: &[u8]) {
        match sequence {
            b"[A" | b"OA" => self.recall(self.history_index.saturating_sub(1)),
            b"[B" | b"OB" => self.recall(self.history_index + 1),
            b"[C" | b"OC" => self.cursor = self.next(),
            b"[D" | b"OD" => self.cursor = self.previous(),
            b"[H" | b"OH" | b"[1~" | b"[7~" => self.cursor = 0,
            b"[F" | b"OF" | b"[4~" | b"[8~" => self.cursor = self.line.len(),
            b"[3~" => self.remove(self.cursor..self.next()),
            b"b" | b"[1;5D" | b"[1;3D" => self.cursor = self.previous_word(),
            b"f" | b"[1;5C" | b"[1;3C" => self.cursor = self.next_word(),
            b"d" => self.remove(self.cursor..self.next_word()),
            b"\x7f" => self.remove(self.previous_word()..self.cursor),
            _ => {}
        }
    }

    fn enter(&mut self) -> Vec<u8> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() && self.history.last() != Some(&line) {
            self.history.push(line.clone());
        }
        if self.history.len() > MAX_HISTORY {
            self.history.remove(0);
        }
        (self.cursor, self.history_index) = (0, self.history.len());
        line
    }

    /// Edits the line `index` of the history, or the new line after it.
    fn recall(&mut self, index: usize) {
        if index > self.history.len() {
            return;
        }
        if self.history_index == self.history.len() {
            self.draft = std::mem::take(&mut self.line);
        }
        self.line = self.history.get(index).unwrap_or(&self.draft).clone();
        (self.history_index, self.cursor) = (index, self.line.len());
    }

    fn remove(&mut self, range: Range<usize>) {
        self.cursor = range.start;
        self.line.drain(range);
    }

    fn previous(&self) -> usize {
        self.cursor - characters(&self.line[..self.cursor]).last().map_or(0, <[u8]>::len)
    }

    fn next(&self) -> usize {
        self.cursor + characters(&self.line[self.cursor..]).next().map_or(0, <[u8]>::len)
    }

    fn previous_word(&self) -> usize {
        let line = &self.line[..self.cursor];
        let word = line.iter().rposition(|byte| *byte != b' ').unwrap_or(0);
        line[..word].iter().rposition(|byte| *byte == b' ').map_or(0, |at| at + 1)
    }

    fn next_word(&self) -> usize {
        let line = &self.line[self.cursor..];
        let word = line.iter().position(|byte| *byte != b' ').unwrap_or(line.len());
        let length = line[word..].iter().position(|byte| *byte == b' ');
        length.map_or(self.line.len(), |length| self.cursor + word + length)
    }

    /// The part of the line around the cursor that fits into less than `width` columns.
    pub fn view(&self, width: usize) -> LineView {
        let (before, after) = self.line.split_at(self.cursor);
        let before: Vec<String> = characters(before).map(printable_character).collect();
        let mut column = 0;
        let mut start = before.len();
        while start > 0 && column + before[start - 1].width() < width {
            start -= 1;
            column += before[start].width();
        }
        let mut text = before[start..].concat();
        let mut end = column;
        for character in characters(after).map(printable_character) {
            end += character.width();
            if end >= width {
                break;
            }
            text.push_str(&character);
        }
        LineView { text, column }
    }
}

/// A line as it is printed: without control characters.
pub fn printable(line: &[u8]) -> String {
    characters(line).map(printable_character).collect()
}

/// The UTF-8 characters of `bytes`; every invalid byte is one of its own.
fn characters(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid();
        let text = valid.char_indices().map(|(at, c)| &valid.as_bytes()[at..at + c.len_utf8()]);
        text.chain(chunk.invalid().chunks(1))
    })
}

/// A character as it is printed.
fn printable_character(character: &[u8]) -> String {
    match std::str::from_utf8(character) {
        Ok(text) => escape_keep_backslash(text).into_owned(),
        Err(_) => escape_bytes(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The effects of these keys, other than edits.
    fn type_into(editor: &mut LineEditor, keys: &[u8]) -> Vec<KeyEffect> {
        keys.iter()
            .map(|byte| editor.on_key(*byte))
            .filter(|effect| *effect != KeyEffect::Edited)
            .collect()
    }

    #[track_caller]
    fn check(keys: &[u8], line: &[u8]) {
        let mut editor = LineEditor::default();
        let done = type_into(&mut editor, &[keys, b"\r"].concat());
        assert_eq!(done, [KeyEffect::Entered(line.to_vec())], "{}", keys.escape_ascii());
    }

    #[test]
    fn bytes_that_are_not_utf8_are_entered_as_typed() {
        check(b"caf\xe9 au lait", b"caf\xe9 au lait");
        check(b"\xff\xfe\x80\xc3", b"\xff\xfe\x80\xc3");
        check("naïve 小明".as_bytes(), "naïve 小明".as_bytes());
    }

    #[test]
    fn keys_edit_the_line() {
        check(b"abc\x7f\x08d", b"ad");
        check("é小\x7f".as_bytes(), "é".as_bytes());
        check(b"\xe9\xe8\x7f", b"\xe9");
        check(b"bc\x01a\x05d", b"abcd");
        check(b"ac\x1b[Db\x1b[C\x1bOCd", b"abcd");
        check(b"abc\x1b[D\x1b[D\x1b[3~\x04", b"a");
        check(b"one two\x17three", b"one three");
        check(b"one two\x1bbx\x1bf!", b"one xtwo!");
        check(b"abc\x02\x0bd", b"abd");
        check(b"abc\x02\x15d", b"dc");
        check(b"a\x1b[200~b\x1b[201~\x07c\td", b"abc\td");
    }

    #[test]
    fn history_recalls_lines_and_keeps_the_new_one() {
        let mut editor = LineEditor::default();
        type_into(&mut editor, b"one\rtwo\rtwo\r");
        let done = type_into(&mut editor, b"new\x1b[A\x1b[A\x1b[A!\rdraft\x10\x10\x0e\x0e\x0e.\r");
        let entered = ["one!", "draft."].map(|line| KeyEffect::Entered(line.into()));
        assert_eq!(done, entered);
    }

    #[test]
    fn control_d_ends_an_empty_line_only() {
        let mut editor = LineEditor::default();
        assert_eq!(type_into(&mut editor, b"\x04\x1aa\x04"), [KeyEffect::Eof, KeyEffect::Suspend]);
    }

    #[test]
    fn a_view_holds_the_cursor_and_no_control_character() {
        let mut editor = LineEditor::default();
        type_into(&mut editor, "0123456789\t小\u{9b}".as_bytes());
        type_into(&mut editor, b"\xe9");
        let view = editor.view(100);
        assert_eq!((view.text.as_str(), view.column), ("0123456789\\t小\\x9b\\xe9", 22));
        let view = editor.view(11);
        assert_eq!((view.text.as_str(), view.column), ("小\\x9b\\xe9", 10));
        type_into(&mut editor, b"\x01");
        let view = editor.view(5);
        assert_eq!((view.text.as_str(), view.column), ("0123", 0));
    }

    proptest! {
        #[test]
        fn cursor_stays_in_view_for_any_keys(
            keys in prop::collection::vec(any::<u8>(), 0..200), width in 0..40_usize,
        ) {
            let mut editor = LineEditor::default();
            for key in keys {
                editor.on_key(key);
                let view = editor.view(width);
                prop_assert!(view.column <= width.max(1) && !view.text.contains(char::is_control));
            }
        }
    }
}
