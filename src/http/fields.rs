//! Splits the lines of a head into a status, a reason and fields.
//!
//! What we take that httparse would not: any minor version of HTTP/1, folded lines (joined by
//! one space, RFC 9112 §5.2), control bytes other than NUL and CR in values (shown escaped
//! later). What we refuse before it is asked: NUL, a CR that ends no line, white space where a
//! name should be. httparse then splits a scrubbed copy whose bytes sit where the originals do.

use super::error::{Error, LENIENT};
use super::head::{Field, Head};
use super::line::plain;
use super::syntax::{is_token, quote, trim};

/// Version, status and reason of a status line: `HTTP/1.1 200 OK`, the reason optional (§4).
pub fn status_line(line: &[u8], lenient: bool) -> Result<(u8, u16, &[u8]), Error> {
    split_status(line, lenient).map_err(|error| match split_status(line, true) {
        Ok(_) => error.with_hint(LENIENT),
        Err(_) => error,
    })
}

fn split_status(line: &[u8], lenient: bool) -> Result<(u8, u16, &[u8]), Error> {
    let bad = || Error::protocol(format!("malformed status line {}", quote(line)));
    let Some([major, b'.', minor, rest @ ..]) = line.strip_prefix(b"HTTP/") else {
        return Err(bad());
    };
    if *major != b'1' || !minor.is_ascii_digit() {
        return Err(Error::protocol(format!("not an HTTP/1 answer: {}", quote(line))));
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
    let number = status.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    Ok((minor - b'0', number, trim(rest)))
}

/// A head rewritten with one line per field, twice: as it is, and scrubbed for httparse.
#[derive(Default)]
struct Unfolded {
    plain: Vec<u8>,
    scrubbed: Vec<u8>,
    notes: Vec<String>,
}

impl Unfolded {
    fn push(&mut self, bytes: &[u8]) {
        self.plain.extend_from_slice(bytes);
        let clean = |byte: &u8| {
            if (*byte < b' ' && *byte != b'\t') || *byte == 0x7f { b'?' } else { *byte }
        };
        self.scrubbed.extend(bytes.iter().map(clean));
    }

    fn end_line(&mut self) {
        self.plain.extend_from_slice(b"\r\n");
        self.scrubbed.extend_from_slice(b"\r\n");
    }

    /// One line of fields; a fold continues the line before it.
    fn field(&mut self, line: &[u8], first: bool, lenient: bool) -> Result<(), Error> {
        match named(line) {
            Ok(Named { name, value, .. }) if !name.is_empty() => {
                self.push(name);
                self.push(b":");
                self.push(value);
            }
            _ if line.starts_with(b" ") || line.starts_with(b"\t") => {
                if first {
                    return self.tolerate(lenient, "white space before the first field", line);
                }
                let whole = self.plain.len() - 2;
                self.plain.truncate(whole);
                self.scrubbed.truncate(whole);
                self.push(b" ");
                self.push(trim(line));
            }
            Err(Flaw::Space { name, value }) if lenient => {
                self.push(name);
                self.push(b":");
                self.push(value);
            }
            Err(flaw) => return self.tolerate(lenient, flaw.words(), line),
            Ok(_) => return self.tolerate(lenient, "field without a name", line),
        }
        self.end_line();
        Ok(())
    }

    /// Refuses a line, or with `--lenient` leaves it out and says so.
    fn tolerate(&mut self, lenient: bool, flaw: &str, line: &[u8]) -> Result<(), Error> {
        let text = format!("{flaw}: {}", quote(line));
        if !lenient {
            return Err(Error::protocol(text).with_hint(LENIENT));
        }
        self.notes.push(format!("ignored {text}"));
        Ok(())
    }
}

/// A field line split at its colon.
struct Named<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

/// Why a line is no field.
enum Flaw<'a> {
    Colon,
    Space { name: &'a [u8], value: &'a [u8] },
    Name,
}

impl Flaw<'_> {
    fn words(&self) -> &'static str {
        match self {
            Flaw::Colon => "header line without a colon",
            Flaw::Space { .. } => "space before the colon",
            Flaw::Name => "malformed field name",
        }
    }
}

fn named(line: &[u8]) -> Result<Named<'_>, Flaw<'_>> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(Flaw::Colon)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if is_token(name) {
        return Ok(Named { name, value });
    }
    match is_token(trim(name)) && !name.starts_with(b" ") && !name.starts_with(b"\t") {
        true => Err(Flaw::Space { name: trim(name), value }),
        false => Err(Flaw::Name),
    }
}

/// Checks that a trailer's line is a field (RFC 9112 §7.1.2); its meaning is nobody's business.
pub fn check_trailer(line: &[u8]) -> Result<(), Error> {
    match named(line) {
        Ok(_) => Ok(()),
        Err(flaw) => {
            Err(Error::protocol(format!("{} in a trailer: {}", flaw.words(), quote(line))))
        }
    }
}

/// Splits a whole head, blank line included (8).
pub fn parse(raw: Vec<u8>, lenient: bool) -> Result<Head, Error> {
    let mut lines = raw.split_inclusive(|byte| *byte == b'\n');
    let status = plain(lines.next().unwrap_or_default(), false)?;
    let (minor, status, reason) = status_line(status, lenient)?;
    let reason = reason.to_vec();
    let mut text = Unfolded::default();
    let mut count = 0;
    for line in lines {
        let line = plain(line, false)?;
        if line.is_empty() {
            break;
        }
        text.field(line, text.plain.is_empty(), lenient)?;
        count += 1;
    }
    text.end_line();
    let fields = split(&text, count)?;
    Ok(Head { minor, status, reason, fields, raw, notes: text.notes })
}

/// Lets httparse find the fields of the scrubbed copy and takes the original bytes from there.
fn split(text: &Unfolded, count: usize) -> Result<Vec<Field>, Error> {
    let mut found = vec![httparse::EMPTY_HEADER; count];
    let parsed = httparse::parse_headers(&text.scrubbed, &mut found)
        .map_err(|error| Error::protocol(format!("malformed header: {error}")))?;
    let httparse::Status::Complete((_, found)) = parsed else {
        return Err(Error::protocol("malformed header"));
    };
    let base = text.scrubbed.as_ptr() as usize;
    let original = |value: &[u8]| {
        let at = (value.as_ptr() as usize).saturating_sub(base);
        text.plain.get(at..at + value.len()).unwrap_or_default().to_vec()
    };
    let field = |header: &httparse::Header<'_>| Field {
        name: header.name.to_string(),
        value: trim(&if header.value.is_empty() { Vec::new() } else { original(header.value) })
            .to_vec(),
    };
    Ok(found.iter().map(field).collect())
}
