//! Passwords and tokens on a command line, which must not stay in the process list.

use std::ffi::OsString;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

/// Headers whose values are no secrets.
const PUBLIC_HEADERS: [&str; 5] = ["accept", "user-agent", "range", "host", "content-type"];

/// The secret parts of `words`: the index of a word, and the range of bytes in it.
pub fn find_secrets(words: &[OsString]) -> Vec<(usize, Range<usize>)> {
    let mut found = Vec::new();
    let mut flag: &[u8] = b"";
    for (number, word) in words.iter().enumerate().skip(1) {
        let word = word.as_bytes();
        let (name, value) = match word.iter().position(|byte| *byte == b'=') {
            Some(at) if word.starts_with(b"--") => (&word[..at], at + 1),
            _ if word.starts_with(b"-H") && word.len() > 2 => (&word[..2], 2),
            _ => (flag, 0),
        };
        let value_of_flag = &word[value..];
        for part in secret(name, value_of_flag).into_iter().chain(query(value_of_flag)) {
            found.push((number, value + part.start..value + part.end));
        }
        flag = word;
    }
    found
}

/// The range of the secret in the value of `flag`, or in a word without a flag.
fn secret(flag: &[u8], value: &[u8]) -> Option<Range<usize>> {
    match flag {
        b"--user" | b"--proxy-auth" | b"-P" => after_colon(value),
        b"-H" | b"--header" => field(value),
        _ if value.starts_with(b"-") => None,
        _ => password(value),
    }
}

fn after_colon(value: &[u8]) -> Option<Range<usize>> {
    let colon = value.iter().position(|byte| *byte == b':')?;
    Some(colon + 1..value.len())
}

fn field(value: &[u8]) -> Option<Range<usize>> {
    let range = after_colon(value)?;
    let name = value[..range.start - 1].to_ascii_lowercase();
    let is_public = PUBLIC_HEADERS.iter().any(|header| name.starts_with(header.as_bytes()));
    (!is_public).then_some(range)
}

/// The password of `scheme://user:password@host` (RFC 3986 §3.2.1), with or without the scheme.
fn password(value: &[u8]) -> Option<Range<usize>> {
    let start = value.windows(3).position(|three| three == b"://").map_or(0, |at| at + 3);
    let rest = &value[start..];
    let authority = rest.split(|byte| b"/?#".contains(byte)).next()?;
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    let colon = authority[..at].iter().position(|byte| *byte == b':')?;
    Some(start + colon + 1..start + at)
}

/// The query of a URL, `?token=…`, with any parameter names, and the rest of the URL.
fn query(value: &[u8]) -> Option<Range<usize>> {
    let start = value.iter().position(|byte| *byte == b'?')? + 1;
    value[start..].contains(&b'=').then_some(start..value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The command line as the process list shows it.
    fn seen(line: &str) -> String {
        let mut words: Vec<String> = line.split(' ').map(str::to_string).collect();
        let given: Vec<OsString> = words.iter().map(Into::into).collect();
        for (number, part) in find_secrets(&given) {
            let stars = "*".repeat(part.len());
            words[number].replace_range(part, &stars);
        }
        words.join(" ")
    }

    #[test]
    fn passwords_are_found_in_urls_and_flags() {
        for (line, shown) in [
            ("sockit http-get http://u:pw@h/x:y@z", "sockit http-get http://u:**@h/x:y@z"),
            ("sockit http-get u:p@w@h/", "sockit http-get u:***@h/"),
            (
                "sockit tcp-client --proxy socks5://u:pw@h:1",
                "sockit tcp-client --proxy socks5://u:**@h:1",
            ),
            (
                "sockit tcp-client --proxy=http://u:pw@h:1",
                "sockit tcp-client --proxy=http://u:**@h:1",
            ),
            ("sockit http-get --user me:pw h", "sockit http-get --user me:** h"),
            ("sockit http-get --user=me:pw h", "sockit http-get --user=me:** h"),
            ("sockit http-get -H Cookie:pw h", "sockit http-get -H Cookie:** h"),
            ("sockit http-get -HX-Key:pw h", "sockit http-get -HX-Key:** h"),
            ("sockit http-get --header=X-Key:pw h", "sockit http-get --header=X-Key:** h"),
            ("sockit http-get http://h/x?token=pw", "sockit http-get http://h/x?********"),
            ("sockit http-get h?a=b&sig=pw#c=d -q", "sockit http-get h?************** -q"),
            ("sockit http-get http://u:pw@h/?k=v", "sockit http-get http://u:**@h/?***"),
        ] {
            assert_eq!(seen(line), shown);
        }
    }

    #[test]
    fn other_arguments_stay_readable() {
        for line in [
            "sockit http-get http://h:80/a:b@c",
            "sockit http-get -H Accept:x http://user@h/",
            "sockit tcp-server --user nobody --allow fe80::1",
            "sockit tcp-client [::1]:9999 --source 127.0.0.1:80",
            "sockit tcp-client --expect colou?r --send why? h",
        ] {
            assert_eq!(seen(line), line);
        }
    }
}
