//! A regular expression over bytes that arrive piece by piece.

use std::str::FromStr;
use std::sync::Arc;

use regex_automata::Input;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{Compiler, Config, WhichCaptures};
use regex_automata::util::syntax;

/// Maximum size of a compiled pattern, in bytes.
const MAX_SIZE: usize = 10 << 20;

/// A pattern that matches UTF-8 text, where `.` is a character, as well as bytes, where `.` is any
/// byte and `\xff` is the byte 0xff.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    automaton: Arc<DFA>,
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Pattern, String> {
        let parse = |unicode| {
            let config = syntax::Config::new().unicode(unicode).utf8(false);
            syntax::parse_with(text, &config).map_err(|e| last_line(&e.to_string()))
        };
        let parsed = [parse(true), parse(false)];
        let build = |expressions: Vec<_>| {
            let config = Config::new().utf8(false).nfa_size_limit(Some(MAX_SIZE));
            Compiler::new()
                .configure(config.which_captures(WhichCaptures::None))
                .build_many_from_hir(&expressions)
                .map_err(|e| e.to_string())
                .and_then(automaton)
        };
        if let [Err(why), Err(_)] = &parsed {
            return Err(why.clone());
        }
        let both = build(parsed.iter().flatten().collect());
        // A word boundary (`\b`) is not supported between characters, only between bytes.
        let automaton = both.or_else(|why| match &parsed[1] {
            Ok(bytes) => build(vec![bytes]),
            Err(_) => Err(why),
        })?;
        Ok(Pattern { text: text.to_string(), automaton: Arc::new(automaton) })
    }
}

/// The message of a multi-line error; the lines before it point at the position.
fn last_line(error: &str) -> String {
    let why = error.lines().last().unwrap_or_default();
    why.strip_prefix("error: ").unwrap_or(why).to_string()
}

fn automaton(states: regex_automata::nfa::thompson::NFA) -> Result<DFA, String> {
    let config = DFA::config().skip_cache_capacity_check(true);
    DFA::builder().configure(config).build_from_nfa(states).map_err(|e| e.to_string())
}

impl Pattern {
    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A new search.
    pub fn search(&self) -> Search {
        let automaton = self.automaton.clone();
        let mut cache = automaton.create_cache();
        let state = start(&automaton, &mut cache);
        Search { automaton, cache, state }
    }
}

/// A search for the first match in a growing text. Each byte is read once, however the text is split.
#[derive(Debug)]
pub struct Search {
    automaton: Arc<DFA>,
    cache: Cache,
    state: Option<LazyStateID>,
}

/// The state before the first byte. It exists for every pattern that was built.
fn start(automaton: &DFA, cache: &mut Cache) -> Option<LazyStateID> {
    automaton.start_state_forward(cache, &Input::new("")).ok()
}

impl Search {
    /// Returns the end of the first match in `text`, whose first `searched` bytes were searched
    /// before without a match. `$` matches at the end of `text`.
    pub fn advance(&mut self, text: &[u8], searched: usize) -> Option<usize> {
        let end = self.step(text, searched);
        let last = self.automaton.next_eoi_state(&mut self.cache, self.state?).ok()?;
        // Any other state here is the dead state, which is always in the cache and stays valid.
        if last.is_match() { Some(text.len()) } else { end }
    }

    /// Reads the bytes from `searched` on, as long as a longer match is possible.
    fn step(&mut self, text: &[u8], searched: usize) -> Option<usize> {
        let mut end = None;
        let mut state = self.state?;
        for (at, byte) in text.iter().enumerate().skip(searched) {
            state = self.automaton.next_state(&mut self.cache, state, *byte).ok()?;
            // A match is known one byte after its end.
            if state.is_match() {
                end = Some(at);
            } else if state.is_dead() {
                break;
            }
        }
        self.state = Some(state);
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn end_of(pattern: &str, text: &[u8]) -> Option<usize> {
        pattern.parse::<Pattern>().unwrap().search().advance(text, 0)
    }

    #[test]
    fn pattern_matches_text_and_bytes() {
        for (pattern, text) in [
            ("two", &b"one two"[..]),
            ("^one", b"one"),
            ("é", "caf\u{e9}".as_bytes()),
            ("[àé]$", "caf\u{e9}".as_bytes()),
            ("^caf.$", "caf\u{e9}".as_bytes()),
            (r"^\xff\xfb", b"\xff\xfb\x01"),
            (r"[\x80-\xff]{3}", b"\x80\xaa\xff"),
            (r"(?-u:\xfe)", b"\xfe"),
            ("^a.b$", b"a\xffb"),
            ("^a[^x]*b$", b"a\xff\xc3b"),
            (r"\bword\b", b"\xffword!"),
            (r"(?i)LOGIN \d+ \w", "login 12 \u{e9}".as_bytes()),
            ("(?i)CAFé", "caf\u{e9}".as_bytes()),
            ("(?P<a>x)", b"x"),
            ("", b""),
        ] {
            assert!(end_of(pattern, text).is_some(), "{pattern}");
        }
        assert_eq!(end_of(r"\xff", b"\xfe"), None);
        assert_eq!(end_of("^b", b"ab"), None);
    }

    #[test]
    fn first_match_ends_where_it_is_longest() {
        assert_eq!(end_of("a+", b"xaaabaaaa"), Some(4));
        assert_eq!(end_of("a+?", b"xaaab"), Some(2));
        assert_eq!(end_of("b|abc", b"xabc"), Some(4));
    }

    #[test]
    fn malformed_pattern_is_an_error_of_one_line() {
        for pattern in ["(", "a{2,1}", "[z-a]", r"\p{", "(a{1000}){1000}{100}"] {
            let why = pattern.parse::<Pattern>().unwrap_err();
            assert!(!why.is_empty() && !why.contains('\n'), "{why}");
        }
    }

    #[test]
    fn search_continues_when_the_cache_is_cleared() {
        let config = DFA::config().cache_capacity(0).skip_cache_capacity_check(true);
        let automaton = DFA::builder().configure(config).build("a[ab]{9}c$").unwrap();
        let pattern = Pattern { text: String::new(), automaton: Arc::new(automaton) };
        let mut search = pattern.search();
        let bit = |n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8 & 1;
        let mut text: Vec<u8> = (0..3000).map(|n| b'a' + bit(n)).collect();
        text.extend(b"aaaaaaaaaac");
        let (mut searched, mut pieces_with_a_clear) = (0, 0);
        for now in (0..=text.len()).rev().step_by(3).collect::<Vec<_>>().into_iter().rev() {
            let cleared = search.cache.clear_count();
            let found = search.advance(&text[..now], searched);
            assert_eq!(found.is_some(), now == text.len(), "{now}");
            pieces_with_a_clear += usize::from(search.cache.clear_count() > cleared);
            searched = now;
        }
        assert!(pieces_with_a_clear > 100);
    }

    proptest! {
        #[test]
        fn split_text_matches_where_the_complete_text_does(text in "[abé\n]{0,30}", cuts: [u8; 3]) {
            let text = text.as_bytes();
            let mut cuts = cuts.map(|cut| usize::from(cut) % (text.len() + 1)).to_vec();
            cuts.push(text.len());
            cuts.sort();
            for pattern in ["ab+é", "(?m)^b.a", "é.{3}", "a\n"] {
                let pattern: Pattern = pattern.parse().unwrap();
                let mut search = pattern.search();
                let mut searched = 0;
                let mut found = None;
                for cut in cuts.iter().copied() {
                    found = found.or_else(|| search.advance(&text[..cut], searched));
                    searched = cut;
                }
                let complete = pattern.search().advance(text, 0);
                // The first match is enough; a longer one is not waited for.
                prop_assert_eq!(found.is_some(), complete.is_some());
                prop_assert!(found <= complete);
            }
        }
    }
}
