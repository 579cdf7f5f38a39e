//! The received bytes in which a script searches for patterns.

use super::pattern::Search;

/// Number of most recent bytes that are always kept.
const MIN_KEPT: usize = 1 << 20;

/// Received bytes, and how many of them the current search has seen.
#[derive(Debug, Default)]
pub struct MatchBuffer {
    bytes: Vec<u8>,
    searched: usize,
}

impl MatchBuffer {
    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // Not with each push, because the kept bytes are moved.
        if self.bytes.len() > 2 * MIN_KEPT {
            let dropped = self.bytes.len() - MIN_KEPT;
            self.bytes.drain(..dropped);
            self.searched = self.searched.saturating_sub(dropped);
        }
    }

    /// Removes everything up to the end of the first match; returns `false` if there is none yet. A
    /// new search begins at the first byte, and continues with the bytes that were added.
    pub fn consume_match(&mut self, search: &mut Search) -> bool {
        let end = search.advance(&self.bytes, self.searched);
        self.searched = self.bytes.len();
        end.is_some_and(|end| {
            self.bytes.drain(..end);
            self.searched = 0;
            true
        })
    }

    /// Removes all bytes.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.searched = 0;
    }

    /// The first `max_len` characters; bytes that are not UTF-8 are `\xNN`.
    pub fn text(&self, max_len: usize) -> String {
        // A character has at most four bytes.
        let first = &self.bytes[..self.bytes.len().min(4 * max_len)];
        let text = first.utf8_chunks().map(|chunk| {
            let invalid = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
            chunk.valid().to_string() + &invalid.collect::<String>()
        });
        text.collect::<String>().chars().take(max_len).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::pattern::Pattern;

    fn search(pattern: &str) -> Search {
        pattern.parse::<Pattern>().unwrap().search()
    }

    #[test]
    fn match_removes_the_bytes_before_it() {
        let mut buffer = MatchBuffer::default();
        buffer.push(b"one two three");
        assert!(buffer.consume_match(&mut search("two")));
        assert_eq!(buffer.text(200), " three");
        assert!(!buffer.consume_match(&mut search("one")));
    }

    #[test]
    fn search_continues_with_added_bytes_and_the_next_begins_at_the_first() {
        let mut buffer = MatchBuffer::default();
        let mut first = search("\\xff\\xfb");
        for (byte, found) in [(0xff, false), (0xfb, true)] {
            buffer.push(&[byte]);
            assert_eq!(buffer.consume_match(&mut first), found);
        }
        buffer.push(b"abc");
        assert!(buffer.consume_match(&mut search("^a")));
        assert!(buffer.consume_match(&mut search("^b")));
        buffer.clear();
        assert!(!buffer.consume_match(&mut search("c")));
    }

    #[test]
    fn match_may_be_longer_than_the_buffer() {
        let mut buffer = MatchBuffer::default();
        let mut search = search("(?s)begin.*end");
        buffer.push(b"begin");
        for _ in 0..50 {
            assert!(!buffer.consume_match(&mut search));
            buffer.push(&[b'x'; MIN_KEPT / 10]);
            assert!(buffer.bytes.len() <= 2 * MIN_KEPT);
        }
        buffer.push(b"end");
        assert!(buffer.consume_match(&mut search));
    }

    #[test]
    fn text_escapes_invalid_bytes_and_is_limited() {
        let mut buffer = MatchBuffer::default();
        buffer.push(b"caf\xc3\xa9 \xff.");
        assert_eq!(buffer.text(200), "caf\u{e9} \\xff.");
        assert_eq!(buffer.text(4), "caf\u{e9}");
    }
}
