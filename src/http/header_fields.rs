//! Parses the lines of a head into status, reason and fields.
//!
//! Accepted: any minor version of HTTP/1, folded lines (joined by one space, RFC 9112 §5.2),
//! control bytes other than NUL and CR in values (shown escaped later). Refused: NUL, a CR that
//! ends no line, white space where a name should be.

use super::error::{Error, LENIENT};
use super::head::{Field, Head};
use super::line::strip_line_end;
use super::syntax::{Leniency, is_token, quote, trim};

/// A parsed status line.
pub struct StatusLine<'a> {
    /// The digit after `HTTP/1.`.
    pub minor: u8,
    /// 100 to 999.
    pub status: u16,
    /// The reason phrase, often empty.
    pub reason: &'a [u8],
}

/// Parses a status line such as `HTTP/1.1 200 OK`, its reason optional (RFC 9112 §4).
pub fn status_line(line: &[u8], leniency: Leniency) -> Result<StatusLine<'_>, Error> {
    split_status(line, leniency).map_err(|error| match split_status(line, Leniency::Lenient) {
        Ok(_) => error.with_hint(LENIENT),
        Err(_) => error,
    })
}

fn split_status(line: &[u8], leniency: Leniency) -> Result<StatusLine<'_>, Error> {
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
    Ok(StatusLine { minor: minor - b'0', status, reason: trim(rest) })
}

/// The parsed fields of a head, and notes about ignored lines.
struct Fields {
    found: Vec<Field>,
    notes: Vec<String>,
    leniency: Leniency,
}

impl Fields {
    /// Adds one line; a fold continues the field before it.
    fn push(&mut self, line: &[u8]) -> Result<(), Error> {
        if is_fold(line) {
            return self.unfold(line);
        }
        match split_field(line) {
            Ok(field) => self.found.push(field),
            Err(FieldError::Space(field)) if self.leniency == Leniency::Lenient => {
                self.found.push(field)
            }
            Err(flaw) => return self.ignore(flaw.text(), line),
        }
        Ok(())
    }

    /// Joins a folded line to the field before it with one space.
    fn unfold(&mut self, line: &[u8]) -> Result<(), Error> {
        let Some(field) = self.found.last_mut() else {
            return self.ignore("white space before the first field", line);
        };
        let more = trim(line);
        if !field.value.is_empty() && !more.is_empty() {
            field.value.push(b' ');
        }
        field.value.extend_from_slice(more);
        Ok(())
    }

    /// Fails on a malformed line; with `--lenient` ignores it with a note.
    fn ignore(&mut self, flaw: &str, line: &[u8]) -> Result<(), Error> {
        let text = format!("{flaw}: {}", quote(line));
        if self.leniency == Leniency::Strict {
            return Err(Error::protocol(text).with_hint(LENIENT));
        }
        self.notes.push(format!("ignored {text}"));
        Ok(())
    }
}

/// Why a line is not a field.
enum FieldError {
    Colon,
    /// There is white space before the colon; without it the line is this field.
    Space(Field),
    Name,
}

impl FieldError {
    fn text(&self) -> &'static str {
        match self {
            FieldError::Colon => "header line without a colon",
            FieldError::Space(_) => "space before the colon",
            FieldError::Name => "malformed field name",
        }
    }
}

/// Whether a line continues the one before it.
fn is_fold(line: &[u8]) -> bool {
    matches!(line, [b' ' | b'\t', ..])
}

/// Splits a line at its first colon.
fn split_field(line: &[u8]) -> Result<Field, FieldError> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(FieldError::Colon)?;
    let (written, value) = (&line[..colon], &line[colon + 1..]);
    let name = trim(written);
    if !is_token(name) || is_fold(line) {
        return Err(FieldError::Name);
    }
    let value = trim(value).to_vec();
    let field = Field { name: String::from_utf8_lossy(name).into_owned(), value };
    if name.len() == written.len() { Ok(field) } else { Err(FieldError::Space(field)) }
}

/// Checks that a line of a trailer is a field (RFC 9112 §7.1.2), whose content is ignored.
pub fn check_trailer(line: &[u8]) -> Result<(), Error> {
    let wrong = |flaw: FieldError| format!("{} in a trailer: {}", flaw.text(), quote(line));
    split_field(line).map(drop).map_err(|flaw| Error::protocol(wrong(flaw)))
}

/// Parses a complete head with its empty line; fails with 8.
pub fn parse(raw: Vec<u8>, leniency: Leniency) -> Result<Head, Error> {
    let mut lines = raw.split_inclusive(|byte| *byte == b'\n');
    let status = strip_line_end(lines.next().unwrap_or_default())?;
    let StatusLine { minor, status, reason } = status_line(status, leniency)?;
    let reason = reason.to_vec();
    let mut fields = Fields { found: Vec::new(), notes: Vec::new(), leniency };
    for line in lines {
        let line = strip_line_end(line)?;
        if line.is_empty() {
            break;
        }
        fields.push(line)?;
    }
    Ok(Head { minor, status, reason, fields: fields.found, raw, notes: fields.notes })
}
