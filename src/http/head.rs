//! The parsed head of a response: status line and fields (RFC 9112 §4, §5).
//!
//! Accepted: any minor version of HTTP/1, folded lines (joined by one space, RFC 9112 §5.2),
//! control bytes other than NUL and CR in values (shown escaped later). Refused: NUL, a CR that
//! ends no line, white space where a name should be.

use super::error::{Error, LENIENT};
use super::syntax::{Leniency, is_token, list, quote, trim};

/// One field of a head or a trailer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name, as received.
    pub name: String,
    /// The value without the white space around it, folded lines joined; any bytes but NUL, CR, LF.
    pub value: Vec<u8>,
}

impl Field {
    /// A field of text.
    pub fn new(name: &str, value: &str) -> Field {
        Field { name: name.to_string(), value: value.as_bytes().to_vec() }
    }
}

/// A complete head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The digit after `HTTP/1.`.
    pub minor: u8,
    /// 100 to 999.
    pub status: u16,
    /// The reason phrase as received, often empty.
    pub reason: Vec<u8>,
    /// The fields in the order received.
    pub fields: Vec<Field>,
    /// All bytes from the status line to the empty line, as received.
    pub raw: Vec<u8>,
    /// Deviations that were tolerated.
    pub notes: Vec<String>,
}

impl Head {
    /// A head with these fields, for tests.
    #[cfg(test)]
    pub fn of(status: u16, fields: &[(&str, &str)]) -> Head {
        let fields = fields.iter().map(|(name, value)| Field::new(name, value)).collect();
        Head { minor: 1, status, reason: Vec::new(), fields, raw: Vec::new(), notes: Vec::new() }
    }

    /// The values of every field called `name`, whatever its case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.as_slice())
    }

    /// The first field called `name`.
    pub fn first<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// The elements of a list field, over all its lines, without empty ones, in lower case.
    pub fn tokens(&self, name: &str) -> Vec<String> {
        let elements = self.values(name).flat_map(list).filter(|element| !element.is_empty());
        elements.map(|element| String::from_utf8_lossy(element).to_ascii_lowercase()).collect()
    }

    /// Parses a status line such as `HTTP/1.1 200 OK`, its reason optional (RFC 9112 §4), to a head
    /// without fields.
    ///
    /// Fails with 8; the hint is `--lenient` where that helps.
    pub fn from_status_line(line: &[u8], leniency: Leniency) -> Result<Head, Error> {
        parse_status(line, leniency).map_err(|error| match parse_status(line, Leniency::Lenient) {
            Ok(_) => error.with_hint(LENIENT),
            Err(_) => error,
        })
    }

    /// Adds a line with a field, or the continuation of one.
    ///
    /// Fails with 8 on a malformed line; with `--lenient` ignores it with a note.
    pub fn push_line(&mut self, line: &[u8], leniency: Leniency) -> Result<(), Error> {
        let pushed = if is_fold(line) {
            self.unfold(line)
        } else {
            parse_field(line, leniency).map(|field| self.fields.push(field))
        };
        let Err(flaw) = pushed else { return Ok(()) };
        let text = format!("{flaw}: {}", quote(line));
        if leniency == Leniency::Strict {
            return Err(Error::protocol(text).with_hint(LENIENT));
        }
        self.notes.push(format!("ignored {text}"));
        Ok(())
    }

    /// Joins a folded line to the field before it with one space.
    fn unfold(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let field = self.fields.last_mut().ok_or("white space before the first field")?;
        let more = trim(line);
        if !field.value.is_empty() && !more.is_empty() {
            field.value.push(b' ');
        }
        field.value.extend_from_slice(more);
        Ok(())
    }
}

fn parse_status(line: &[u8], leniency: Leniency) -> Result<Head, Error> {
    let lenient = leniency == Leniency::Lenient;
    let bad = || Error::protocol(format!("malformed status line {}", quote(line)));
    let Some([major, b'.', minor, rest @ ..]) = line.strip_prefix(b"HTTP/") else {
        return Err(bad());
    };
    if *major != b'1' || !minor.is_ascii_digit() {
        return Err(Error::protocol(format!("not an HTTP/1 response: {}", quote(line))));
    }
    let rest = match rest {
        [b' ' | b'\t', ..] if lenient => trim(rest),
        [b' ', rest @ ..] => rest,
        _ => return Err(bad()),
    };
    let (status, rest) = rest.split_at_checked(3).ok_or_else(bad)?;
    let digits = status.iter().all(u8::is_ascii_digit) && status[0] != b'0';
    if !digits || !(rest.is_empty() || rest[0] == b' ' || (lenient && !rest[0].is_ascii_digit())) {
        return Err(bad());
    }
    let status = status.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let (minor, reason) = (minor - b'0', trim(rest).to_vec());
    Ok(Head { minor, status, reason, fields: Vec::new(), raw: Vec::new(), notes: Vec::new() })
}

/// Whether a line continues the one before it.
fn is_fold(line: &[u8]) -> bool {
    matches!(line, [b' ' | b'\t', ..])
}

/// Splits a line at its first colon; the error is what is wrong with it.
pub fn parse_field(line: &[u8], leniency: Leniency) -> Result<Field, &'static str> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("header line without a colon")?;
    let (written, value) = (&line[..colon], trim(&line[colon + 1..]));
    let name = trim(written);
    if !is_token(name) || is_fold(line) {
        return Err("malformed field name");
    }
    if name.len() < written.len() && leniency == Leniency::Strict {
        return Err("space before the colon");
    }
    Ok(Field { name: String::from_utf8_lossy(name).into_owned(), value: value.to_vec() })
}
