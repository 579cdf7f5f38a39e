//! `--keepalive 30s`, though its value is optional: a flag that may stand alone takes the next
//! word only if that word can be nothing else.

use std::ffi::{OsStr, OsString};

use crate::flags::values;

const FLAG: &str = "--keepalive";

/// The words with a duration behind the flag joined to it: one that has a unit.
pub fn joined(words: Vec<OsString>) -> Vec<OsString> {
    match words.iter().any(|word| word == FLAG) {
        true => join(&words, |word| is_duration(word) && word.ends_with(char::is_alphabetic)),
        false => words,
    }
}

/// The words with a bare number joined too; `None` where there is none. A bare number may be a
/// port, so this reading is for a command line that makes no sense without it.
pub fn joined_bare(words: &[OsString]) -> Option<Vec<OsString>> {
    let again = join(words, is_duration);
    (again.len() < words.len()).then_some(again)
}

fn is_duration(word: &str) -> bool {
    values::duration(word).is_ok()
}

fn join(words: &[OsString], takes: impl Fn(&str) -> bool) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::with_capacity(words.len());
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        joined.push(word.clone());
        if word == "--" {
            break;
        }
        let value = rest.as_slice().first().and_then(|next| next.to_str());
        if let Some(value) = value.filter(|value| word == FLAG && takes(value)) {
            joined.pop();
            joined.push(OsString::from(format!("{FLAG}={value}")));
            rest.next();
        }
    }
    joined.extend(rest.map(|word: &OsString| -> &OsStr { word }).map(OsStr::to_os_string));
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn a_duration_with_a_unit_belongs_to_the_flag() {
        for (line, read) in [
            ("s tcp-client --keepalive 30s h 80", "s tcp-client --keepalive=30s h 80"),
            ("s tcp-client --keepalive h 80", "s tcp-client --keepalive h 80"),
            ("s tcp-client h --keepalive 80", "s tcp-client h --keepalive 80"),
            ("s tcp-client --keepalive", "s tcp-client --keepalive"),
            ("s tcp-client -- --keepalive 3s", "s tcp-client -- --keepalive 3s"),
        ] {
            assert_eq!(joined(words(line)), words(read));
        }
    }

    #[test]
    fn a_bare_number_belongs_to_it_where_nothing_else_makes_sense() {
        let parsed = |line| super::super::parse(words(line)).is_ok();
        assert!(parsed("s tcp-client --keepalive 30 h 80"));
        assert!(parsed("s tcp-server --keepalive 30 --once"));
        assert!(joined_bare(&words("s tcp-client --keepalive h")).is_none());
    }
}
