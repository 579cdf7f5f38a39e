//! What a script has received and looks for patterns in.

use crate::client::pattern::Search;

/// Bytes that are remembered at least: what came last.
const MEMORY: usize = 1 << 20;

/// Bytes that came, and how far the search of the moment has got in them.
#[derive(Debug, Default)]
pub struct MatchBuffer {
    bytes: Vec<u8>,
    searched: usize,
}

impl MatchBuffer {
    /// Adds what came.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // Seldom, because what stays is moved.
        if self.bytes.len() > 2 * MEMORY {
            let forgotten = self.bytes.len() - MEMORY;
            self.bytes.drain(..forgotten);
            self.searched = self.searched.saturating_sub(forgotten);
        }
    }

    /// Takes everything up to the end of the first match; `false` if there is none yet. A search
    /// begins with everything that was not taken, and goes on with what was added.
    pub fn consume_match(&mut self, search: &mut Search) -> bool {
        let end = search.advance(&self.bytes, self.searched);
        self.searched = self.bytes.len();
        end.is_some_and(|end| {
            self.bytes.drain(..end);
            self.searched = 0;
            true
        })
    }

    /// Forgets all of it.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.searched = 0;
    }

    /// The first `most` characters of what is remembered; bytes that are no UTF-8 are `\xNN`.
    pub fn text(&self, most: usize) -> String {
        // A character has at most four bytes.
        let first = &self.bytes[..self.bytes.len().min(4 * most)];
        let shown = first.utf8_chunks().map(|chunk| {
            let stray = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
            chunk.valid().to_string() + &stray.collect::<String>()
        });
        shown.collect::<String>().chars().take(most).collect()
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
    fn match_takes_what_comes_before_it_too() {
        let mut heard = MatchBuffer::default();
        heard.add(b"one two three");
        assert!(heard.consume_match(&mut search("two")));
        assert_eq!(heard.text(200), " three");
        assert!(!heard.consume_match(&mut search("one")));
    }

    #[test]
    fn search_goes_on_with_what_is_added_and_the_next_begins_anew() {
        let mut heard = MatchBuffer::default();
        let mut first = search("\\xff\\xfb");
        for (byte, found) in [(0xff, false), (0xfb, true)] {
            heard.add(&[byte]);
            assert_eq!(heard.consume_match(&mut first), found);
        }
        heard.add(b"abc");
        assert!(heard.consume_match(&mut search("^a")));
        assert!(heard.consume_match(&mut search("^b")));
        heard.clear();
        assert!(!heard.consume_match(&mut search("c")));
    }

    #[test]
    fn match_may_be_longer_than_what_is_remembered() {
        let mut heard = MatchBuffer::default();
        let mut search = search("(?s)begin.*end");
        heard.add(b"begin");
        for _ in 0..50 {
            assert!(!heard.consume_match(&mut search));
            heard.add(&[b'x'; MEMORY / 10]);
            assert!(heard.bytes.len() <= 2 * MEMORY);
        }
        heard.add(b"end");
        assert!(heard.consume_match(&mut search));
    }

    #[test]
    fn text_shows_stray_bytes_and_so_much_of_it() {
        let mut heard = MatchBuffer::default();
        heard.add(b"caf\xc3\xa9 \xff.");
        assert_eq!(heard.text(200), "caf\u{e9} \\xff.");
        assert_eq!(heard.text(4), "caf\u{e9}");
    }
}
