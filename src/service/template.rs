//! What is said to a peer, with blanks for what is known about it: `Hello, {message}!`.

use std::fmt::Display;
use std::io::Write;

/// A text with blanks, checked when the server starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Placeholder(Placeholder),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Message,
    Time,
    Peer,
    Local,
    Number,
    PeerName,
}

/// The blanks by name.
const BLANKS: [(&str, Placeholder); 6] = [
    ("message", Placeholder::Message),
    ("time", Placeholder::Time),
    ("peer", Placeholder::Peer),
    ("local", Placeholder::Local),
    ("n", Placeholder::Number),
    ("peer_name", Placeholder::PeerName),
];

/// What goes into the blanks.
pub struct TemplateValues<'a> {
    /// `{message}`: the peer's, without its line end; put in as it is.
    pub message: &'a [u8],
    /// `{n}`: its number, from 1.
    pub n: u64,
    /// `{peer}`: the other end.
    pub peer: &'a dyn Display,
    /// `{local}`: our end.
    pub local: &'a dyn Display,
    /// `{peer_name}`: the name in the peer's verified certificate; empty where there is none.
    pub peer_name: Option<&'a str>,
}

impl Template {
    /// Reads `{message}`, `{time}`, `{peer}`, `{local}`, `{n}`, `{peer_name}`; `{{` and `}}` are
    /// braces. Any other use of braces is an error, told to the user as it stands.
    pub fn read(text: &[u8]) -> Result<Template, String> {
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
                    let (blank, after) = read_blank(tail)?;
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Placeholder(blank));
                    after
                }
                b'}' => return Err(format!("a lone }} (}}}} stands for one) {}", known())),
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

    /// Appends the text with its blanks filled to `out`.
    pub fn render(&self, filling: &TemplateValues<'_>, out: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Placeholder(blank) => blank.render(filling, out),
            }
        }
    }

    /// Nothing but this text.
    pub(super) fn plain(text: &str) -> Template {
        Template(vec![Piece::Text(text.into())])
    }

    /// `before`, the message, `after`.
    pub(super) fn around_message(before: &str, after: &str) -> Template {
        let text = |text: &str| Piece::Text(text.into());
        Template(vec![text(before), Piece::Placeholder(Placeholder::Message), text(after)])
    }

    /// The time in brackets, a space, the message.
    pub(super) fn dated_message() -> Template {
        let text = |text: &str| Piece::Text(text.into());
        let (time, message) =
            (Piece::Placeholder(Placeholder::Time), Piece::Placeholder(Placeholder::Message));
        Template(vec![text("["), time, text("] "), message])
    }
}

/// A blank's name up to its closing brace, and what follows.
fn read_blank(text: &[u8]) -> Result<(Placeholder, &[u8]), String> {
    let end = text.iter().position(|byte| *byte == b'}');
    let end =
        end.ok_or_else(|| format!("a {{ without its }} ({{{{ stands for one) {}", known()))?;
    let found = BLANKS.iter().find(|(name, _)| name.as_bytes() == &text[..end]);
    match found {
        Some((_, blank)) => Ok((*blank, &text[end + 1..])),
        None => {
            let name = String::from_utf8_lossy(&text[..end]);
            Err(format!("{{{name}}} is not known {}", known()))
        }
    }
}

fn known() -> String {
    let names: Vec<String> = BLANKS.iter().map(|(name, _)| format!("{{{name}}}")).collect();
    format!("(known: {})", names.join(" "))
}

impl Placeholder {
    fn render(self, filling: &TemplateValues<'_>, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = match self {
            Placeholder::Message => out.write_all(filling.message),
            Placeholder::Time => write!(out, "{}", ctime()),
            Placeholder::Peer => write!(out, "{}", filling.peer),
            Placeholder::Local => write!(out, "{}", filling.local),
            Placeholder::Number => write!(out, "{}", filling.n),
            Placeholder::PeerName => {
                out.write_all(filling.peer_name.unwrap_or_default().as_bytes())
            }
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

    fn filled(text: &str) -> Result<String, String> {
        let filling = TemplateValues {
            message: b"{n}",
            n: 7,
            peer: &"1.2.3.4:5",
            local: &"6.7.8.9:10",
            peer_name: Some("client"),
        };
        let mut out = Vec::new();
        Template::read(text.as_bytes())?.render(&filling, &mut out);
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn blanks_are_filled_and_what_fills_them_is_not_read_again() {
        let all = filled("<{message}> {peer} {local} {n} {peer_name} {{}}");
        assert_eq!(all.as_deref(), Ok("<{n}> 1.2.3.4:5 6.7.8.9:10 7 client {}"));
        assert_eq!(filled("").as_deref(), Ok(""));
    }

    #[test]
    fn the_time_is_ctimes() {
        let time = filled("{time}").unwrap_or_default();
        assert_eq!(time.len(), 24, "{time}");
        assert!(time[11..19].chars().all(|c| c.is_ascii_digit() || c == ':'), "{time}");
    }

    #[test]
    fn what_is_no_blank_is_refused() {
        for text in ["{", "}", "{}", "{msg}", "{message", "a}b", "{ message}", "{{}"] {
            assert!(filled(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_without_braces_is_itself(text in "[^{}]*") {
            prop_assert_eq!(filled(&text), Ok(text));
        }
    }
}
