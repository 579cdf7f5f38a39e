//! What a script has heard and looks for patterns in.

use regex_lite::Regex;

/// How much is remembered: as much as came last, in bytes.
const MEMORY: usize = 1 << 20;

/// Text in the making: it comes in pieces that may be cut anywhere.
#[derive(Debug, Default)]
pub struct Heard {
    text: String,
    /// The beginning of a character whose rest has not come yet.
    begun: Vec<u8>,
}

impl Heard {
    /// Adds what came; bytes that are no UTF-8 become U+FFFD.
    pub fn add(&mut self, bytes: &[u8]) {
        self.begun.extend_from_slice(bytes);
        let whole = whole(&self.begun);
        self.text.push_str(&String::from_utf8_lossy(&self.begun[..whole]));
        self.begun.drain(..whole);
        if self.text.len() > MEMORY {
            let most = self.text.len() - MEMORY;
            let cut = (most..).find(|at| self.text.is_char_boundary(*at)).unwrap_or(most);
            self.text.drain(..cut);
        }
    }

    /// Takes everything up to the end of the first match; `false` if there is none.
    pub fn take(&mut self, pattern: &Regex) -> bool {
        let end = pattern.find(&self.text).map(|found| found.end());
        end.is_some_and(|end| {
            self.text.drain(..end);
            true
        })
    }

    /// Forgets all of it, but not a character that has only begun.
    pub fn forget(&mut self) {
        self.text.clear();
    }

    /// What is remembered.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// How much of `bytes` can be read now: all but a character at the end that lacks its own end.
fn whole(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Err(e) = std::str::from_utf8(&bytes[at..]) {
        match e.error_len() {
            Some(bad) => at += e.valid_up_to() + bad,
            None => return at + e.valid_up_to(),
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_match_takes_what_stands_before_it_too() {
        let mut heard = Heard::default();
        heard.add(b"one two three");
        assert!(heard.take(&Regex::new("two").unwrap()));
        assert_eq!(heard.text(), " three");
        assert!(!heard.take(&Regex::new("one").unwrap()));
    }

    #[test]
    fn only_what_came_last_is_remembered() {
        let mut heard = Heard::default();
        for _ in 0..3 {
            heard.add("é".repeat(MEMORY / 3).as_bytes());
        }
        assert!(heard.text().len() <= MEMORY && heard.text().chars().all(|c| c == 'é'));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_text(bytes in "[a-z已é\u{1f600}]{0,20}", noise: [u8; 3], cuts: [u8; 2]) {
            let bytes = [bytes.as_bytes(), &noise, b"end"].concat();
            let mut cuts = cuts.map(|cut| usize::from(cut) % (bytes.len() + 1));
            cuts.sort();
            let mut heard = Heard::default();
            heard.add(&bytes[..cuts[0]]);
            heard.add(&bytes[cuts[0]..cuts[1]]);
            heard.add(&bytes[cuts[1]..]);
            prop_assert_eq!(heard.text(), String::from_utf8_lossy(&bytes));
        }
    }
}
