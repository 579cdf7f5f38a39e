//! Reply templates: text with placeholders, such as `Hello, {message}!`.

use std::fmt::Display;
use std::io::Write;

/// A text with placeholders, checked when the server starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Message,
    Time,
    Peer,
    Local,
    Number,
    PeerName,
}

/// The placeholders by name.
const PLACEHOLDERS: [(&str, Piece); 6] = [
    ("message", Piece::Message),
    ("time", Piece::Time),
    ("peer", Piece::Peer),
    ("local", Piece::Local),
    ("n", Piece::Number),
    ("peer_name", Piece::PeerName),
];

/// The values of the placeholders.
pub struct TemplateValues<'a> {
    /// `{message}`: the peer's message without its line end, inserted unchanged.
    pub message: &'a [u8],
    /// `{n}`: the number of the message or connection, from 1.
    pub n: u64,
    /// `{peer}`: the peer's address.
    pub peer: &'a dyn Display,
    /// `{local}`: the local address.
    pub local: &'a dyn Display,
    /// `{peer_name}`: the name in the peer's verified certificate; empty where there is none.
    pub peer_name: Option<&'a str>,
}

impl Template {
    /// Parses a text with `{message}`, `{time}`, `{peer}`, `{local}`, `{n}` and `{peer_name}`; `{{`
    /// and `}}` are literal braces.
    ///
    /// Fails with a message for the user on any other brace.
    pub fn parse(text: &[u8]) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut rest = text;
        while let Some((&first, tail)) = rest.split_first() {
            rest = match first {
                b'{' | b'}' if tail.first() == Some(&first) => {
                    plain.push(first);
                    &tail[1..]
                }
                b'{' => {
                    let (placeholder, after) = parse_placeholder(tail)?;
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(placeholder);
                    after
                }
                b'}' => {
                    return Err(format!("unmatched '}}' (write '}}}}' for a brace) {}", known()));
                }
                _ => {
                    plain.push(first);
                    tail
                }
            };
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Template(pieces))
    }

    /// Appends the text with the values of its placeholders to `out`.
    pub fn render(&self, values: &TemplateValues<'_>, out: &mut Vec<u8>) {
        self.0.iter().for_each(|piece| piece.render(values, out));
    }
}

/// Parses a name up to its closing brace; returns the rest of the text too.
fn parse_placeholder(text: &[u8]) -> Result<(Piece, &[u8]), String> {
    let end = text.iter().position(|byte| *byte == b'}');
    let end =
        end.ok_or_else(|| format!("unmatched '{{' (write '{{{{' for a brace) {}", known()))?;
    let (name, rest) = (&text[..end], &text[end + 1..]);
    match PLACEHOLDERS.into_iter().find(|(known, _)| known.as_bytes() == name) {
        Some((_, placeholder)) => Ok((placeholder, rest)),
        None => {
            let name = String::from_utf8_lossy(name);
            Err(format!("unknown placeholder {{{name}}} {}", known()))
        }
    }
}

fn known() -> String {
    let names: Vec<String> = PLACEHOLDERS.iter().map(|(name, _)| format!("{{{name}}}")).collect();
    format!("(known: {})", names.join(" "))
}

impl Piece {
    fn render(&self, values: &TemplateValues<'_>, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = match self {
            Piece::Text(text) => out.write_all(text),
            Piece::Message => out.write_all(values.message),
            Piece::Time => write!(out, "{}", ctime()),
            Piece::Peer => write!(out, "{}", values.peer),
            Piece::Local => write!(out, "{}", values.local),
            Piece::Number => write!(out, "{}", values.n),
            Piece::PeerName => out.write_all(values.peer_name.unwrap_or_default().as_bytes()),
        };
    }
}

/// The local time in the form of ctime(3), without its line end: `Tue Feb 17 10:00:18 2026`.
fn ctime() -> impl Display {
    chrono::Local::now().format("%a %b %e %H:%M:%S %Y")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rendered(text: &str) -> Result<String, String> {
        let values = TemplateValues {
            message: b"{n}",
            n: 7,
            peer: &"1.2.3.4:5",
            local: &"6.7.8.9:10",
            peer_name: Some("client"),
        };
        let mut out = Vec::new();
        Template::parse(text.as_bytes())?.render(&values, &mut out);
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn placeholders_are_replaced_and_values_are_not_parsed_again() {
        let all = rendered("<{message}> {peer} {local} {n} {peer_name} {{}}");
        assert_eq!(all.as_deref(), Ok("<{n}> 1.2.3.4:5 6.7.8.9:10 7 client {}"));
        assert_eq!(rendered("").as_deref(), Ok(""));
    }

    #[test]
    fn time_has_the_form_of_ctime() {
        let time = rendered("{time}").unwrap_or_default();
        assert_eq!(time.len(), 24, "{time}");
        assert!(time[11..19].chars().all(|c| c.is_ascii_digit() || c == ':'), "{time}");
    }

    #[test]
    fn other_braces_are_rejected() {
        for text in ["{", "}", "{}", "{msg}", "{message", "a}b", "{ message}", "{{}"] {
            assert!(rendered(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_without_braces_is_unchanged(text in "[^{}]*") {
            prop_assert_eq!(rendered(&text), Ok(text));
        }
    }
}
