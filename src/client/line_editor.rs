//! One line that is edited by keys, with history. It is bytes, not text: what is typed or pasted
//! in another encoding than UTF-8 is sent as it was typed, which no line editor for text allows.

use std::ops::Range;

use unicode_width::UnicodeWidthStr;

use crate::report::escape::{escape_bytes, escape_keep_backslash};

/// Lines that the history keeps.
const MAX_HISTORY: usize = 100;
/// Bytes of the longest line; it is entered when it has as many.
const MAX_LINE: usize = 1 << 20;
/// Bytes of the longest sequence that a key sends.
const MAX_SEQUENCE: usize = 16;

const CTRL_A: u8 = 0x01;
const CTRL_B: u8 = 0x02;
const CTRL_D: u8 = 0x04;
const CTRL_E: u8 = 0x05;
const CTRL_F: u8 = 0x06;
const CTRL_H: u8 = 0x08;
const CTRL_K: u8 = 0x0b;
const CTRL_N: u8 = 0x0e;
const CTRL_P: u8 = 0x10;
const CTRL_U: u8 = 0x15;
const CTRL_W: u8 = 0x17;
const CTRL_Z: u8 = 0x1a;

/// What a key did.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// It changed the line, or nothing.
    Edited,
    /// It entered the line.
    Entered(Vec<u8>),
    /// ^D on an empty line.
    End,
    /// ^Z.
    Suspend,
}

/// The line, the cursor in it, and earlier lines.
#[derive(Debug, Default)]
pub struct Editor {
    line: Vec<u8>,
    /// In bytes.
    cursor: usize,
    history: Vec<Vec<u8>>,
    /// The line's place in the history; its length is the new line's.
    at: usize,
    /// The new line, while an earlier one is shown.
    draft: Vec<u8>,
    /// An escape sequence that has begun.
    sequence: Vec<u8>,
}

/// What is seen of a line.
#[derive(Debug, PartialEq, Eq)]
pub struct View {
    /// Text without control characters.
    pub text: String,
    /// Columns before the cursor.
    pub column: usize,
}

impl Editor {
    /// Takes one byte that was typed; the keys are those of Emacs, as in bash.
    pub fn key(&mut self, byte: u8) -> Typed {
        if self.sequence.len() == 1 && byte < b' ' {
            self.sequence.clear();
        }
        match byte {
            b'\x1b' => self.sequence = vec![byte],
            _ if !self.sequence.is_empty() => self.continue_sequence(byte),
            b'\r' | b'\n' => return Typed::Entered(self.enter()),
            CTRL_D if self.line.is_empty() => return Typed::End,
            CTRL_Z => return Typed::Suspend,
            CTRL_D => self.remove(self.cursor..self.after()),
            CTRL_H | b'\x7f' => self.remove(self.before()..self.cursor),
            CTRL_A => self.cursor = 0,
            CTRL_E => self.cursor = self.line.len(),
            CTRL_B => self.cursor = self.before(),
            CTRL_F => self.cursor = self.after(),
            CTRL_K => self.remove(self.cursor..self.line.len()),
            CTRL_U => self.remove(0..self.cursor),
            CTRL_W => self.remove(self.word_before()..self.cursor),
            CTRL_P => self.recall(self.at.saturating_sub(1)),
            CTRL_N => self.recall(self.at + 1),
            b'\t' | b' '.. => {
                self.line.insert(self.cursor, byte);
                self.cursor += 1;
            }
            _ => {}
        }
        if self.line.len() < MAX_LINE { Typed::Edited } else { Typed::Entered(self.enter()) }
    }

    fn continue_sequence(&mut self, byte: u8) {
        self.sequence.push(byte);
        let is_whole = match self.sequence[..] {
            [_, b'[' | b'O'] | [_, b'[', b'['] => false,
            [_, b'[', .., last] => (b'@'..=b'~').contains(&last),
            _ => true,
        };
        if is_whole {
            let sequence = std::mem::take(&mut self.sequence);
            self.obey(&sequence[1..]);
        } else if self.sequence.len() > MAX_SEQUENCE {
            self.sequence.clear();
        }
    }

    /// Does what the sequence of a key stands for (xterm, VT220, Linux console).
    fn obey(&mut self, sequence: &[u8]) {
        match sequence {
            b"[A" | b"OA" => self.recall(self.at.saturating_sub(1)),
            b"[B" | b"OB" => self.recall(self.at + 1),
            b"[C" | b"OC" => self.cursor = self.after(),
            b"[D" | b"OD" => self.cursor = self.before(),
            b"[H" | b"OH" | b"[1~" | b"[7~" => self.cursor = 0,
            b"[F" | b"OF" | b"[4~" | b"[8~" => self.cursor = self.line.len(),
            b"[3~" => self.remove(self.cursor..self.after()),
            b"b" | b"[1;5D" | b"[1;3D" => self.cursor = self.word_before(),
            b"f" | b"[1;5C" | b"[1;3C" => self.cursor = self.word_after(),
            b"d" => self.remove(self.cursor..self.word_after()),
            b"\x7f" => self.remove(self.word_before()..self.cursor),
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
        (self.cursor, self.at) = (0, self.history.len());
        line
    }

    /// Shows another line of the history, or the new one behind it.
    fn recall(&mut self, at: usize) {
        if at > self.history.len() {
            return;
        }
        if self.at == self.history.len() {
            self.draft = std::mem::take(&mut self.line);
        }
        self.line = self.history.get(at).unwrap_or(&self.draft).clone();
        (self.at, self.cursor) = (at, self.line.len());
    }

    fn remove(&mut self, range: Range<usize>) {
        self.cursor = range.start;
        self.line.drain(range);
    }

    fn before(&self) -> usize {
        self.cursor - characters(&self.line[..self.cursor]).last().map_or(0, <[u8]>::len)
    }

    fn after(&self) -> usize {
        self.cursor + characters(&self.line[self.cursor..]).next().map_or(0, <[u8]>::len)
    }

    fn word_before(&self) -> usize {
        let line = &self.line[..self.cursor];
        let word = line.iter().rposition(|byte| *byte != b' ').unwrap_or(0);
        line[..word].iter().rposition(|byte| *byte == b' ').map_or(0, |at| at + 1)
    }

    fn word_after(&self) -> usize {
        let line = &self.line[self.cursor..];
        let word = line.iter().position(|byte| *byte != b' ').unwrap_or(line.len());
        let length = line[word..].iter().position(|byte| *byte == b' ');
        length.map_or(self.line.len(), |length| self.cursor + word + length)
    }

    /// The part of the line around the cursor that fits into less than `room` columns.
    pub fn view(&self, room: usize) -> View {
        let (before, after) = self.line.split_at(self.cursor);
        let before: Vec<String> = characters(before).map(cell).collect();
        let mut column = 0;
        let mut start = before.len();
        while start > 0 && column + before[start - 1].width() < room {
            start -= 1;
            column += before[start].width();
        }
        let mut text = before[start..].concat();
        let mut end = column;
        for cell in characters(after).map(cell) {
            end += cell.width();
            if end >= room {
                break;
            }
            text.push_str(&cell);
        }
        View { text, column }
    }
}

/// A line as it is shown.
pub fn text(line: &[u8]) -> String {
    characters(line).map(cell).collect()
}

/// The characters of UTF-8, and each other byte by itself.
fn characters(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid();
        let text = valid.char_indices().map(|(at, c)| &valid.as_bytes()[at..at + c.len_utf8()]);
        text.chain(chunk.invalid().chunks(1))
    })
}

/// What is shown for a character.
fn cell(character: &[u8]) -> String {
    match std::str::from_utf8(character) {
        Ok(text) => escape_keep_backslash(text).into_owned(),
        Err(_) => escape_bytes(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What these keys did, other than editing.
    fn type_into(editor: &mut Editor, keys: &[u8]) -> Vec<Typed> {
        keys.iter().map(|byte| editor.key(*byte)).filter(|done| *done != Typed::Edited).collect()
    }

    #[track_caller]
    fn check(keys: &[u8], line: &[u8]) {
        let mut editor = Editor::default();
        let done = type_into(&mut editor, &[keys, b"\r"].concat());
        assert_eq!(done, [Typed::Entered(line.to_vec())], "{}", keys.escape_ascii());
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
    fn history_brings_lines_back_and_keeps_the_new_one() {
        let mut editor = Editor::default();
        type_into(&mut editor, b"one\rtwo\rtwo\r");
        let done = type_into(&mut editor, b"new\x1b[A\x1b[A\x1b[A!\rdraft\x10\x10\x0e\x0e\x0e.\r");
        let entered = ["one!", "draft."].map(|line| Typed::Entered(line.into()));
        assert_eq!(done, entered);
    }

    #[test]
    fn control_d_ends_an_empty_line_only() {
        let mut editor = Editor::default();
        assert_eq!(type_into(&mut editor, b"\x04\x1aa\x04"), [Typed::End, Typed::Suspend]);
    }

    #[test]
    fn a_view_holds_the_cursor_and_no_control_character() {
        let mut editor = Editor::default();
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
        fn no_keys_break_the_editor(
            keys in prop::collection::vec(any::<u8>(), 0..200), room in 0..40_usize,
        ) {
            let mut editor = Editor::default();
            for key in keys {
                editor.key(key);
                let view = editor.view(room);
                prop_assert!(view.column <= room.max(1) && !view.text.contains(char::is_control));
            }
        }
    }
}
