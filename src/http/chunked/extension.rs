//! Chunk extensions, after the size of a chunk (RFC 9112 §7.1.1).

use crate::http::error::{Error, LENIENT};
use crate::http::syntax::{Leniency, is_tchar, quote, trim};

/// Checks any number of `;name=value`, whose content is ignored.
pub fn check(text: &[u8], leniency: Leniency) -> Result<(), Error> {
    let control = text.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f);
    // Spaces at the end are no extension: servers pad sizes to a fixed width.
    let inside = trim(text);
    let tolerable = !control && (inside.is_empty() || inside[0] == b';');
    if tolerable && (leniency == Leniency::Lenient || skip_extensions(inside).is_some()) {
        return Ok(());
    }
    let error = Error::protocol(format!("malformed chunk extension {}", quote(text)));
    Err(if tolerable { error.with_hint(LENIENT) } else { error })
}

/// Skips all of `text`, which has no control characters but tabs; none where it is malformed.
fn skip_extensions(mut text: &[u8]) -> Option<()> {
    while !text.is_empty() {
        let name = text.trim_ascii_start().strip_prefix(b";")?;
        text = skip_token(name.trim_ascii_start())?;
        if let Some(value) = text.trim_ascii_start().strip_prefix(b"=") {
            text = skip_value(value.trim_ascii_start())?;
        }
    }
    Some(())
}

fn skip_token(text: &[u8]) -> Option<&[u8]> {
    let count = text.iter().take_while(|byte| is_tchar(**byte)).count();
    (count > 0).then(|| &text[count..])
}

/// Skips a token or a quoted string, in which a backslash quotes the next byte.
fn skip_value(text: &[u8]) -> Option<&[u8]> {
    let Some(mut rest) = text.strip_prefix(b"\"") else {
        return skip_token(text);
    };
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', _, rest @ ..] | [_, rest @ ..] => rest,
            [] => return None,
        };
    }
}
