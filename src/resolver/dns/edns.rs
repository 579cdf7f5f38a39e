//! Extended DNS Errors (RFC 8914), options of the OPT record of EDNS (RFC 6891).

use std::fmt;

use domain::base::ParsedRecord;
use domain::base::iana::ExtendedErrorCode;
use domain::base::opt::{ExtendedError, Opt};

use super::error::MalformedResponse;

/// The maximum length, in characters, of the text that is kept of a server.
const MAX_TEXT_CHARS: usize = 256;

/// An Extended DNS Error: why a server answered as it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    code: ExtendedErrorCode,
    /// EXTRA-TEXT of the server, often empty.
    text: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.code.to_mnemonic_str().unwrap_or("unknown extended error");
        write!(f, "{name} (EDE {})", self.code.to_int())?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}

/// Parses the extended errors of an OPT record.
pub(super) fn explanations(
    record: &ParsedRecord<'_, [u8]>,
) -> Result<Vec<Explanation>, MalformedResponse> {
    if !record.owner().is_root() {
        return Err(MalformedResponse::Opt("the OPT record has an owner name"));
    }
    let truncated = |_| MalformedResponse::Opt("an option is truncated");
    let Some(opt) = record.to_record::<Opt<&[u8]>>().map_err(truncated)? else {
        return Ok(Vec::new());
    };
    let errors = opt.data().iter::<ExtendedError<&[u8]>>();
    errors.map(|error| error.map(|error| explanation(&error)).map_err(truncated)).collect()
}

fn explanation(error: &ExtendedError<&[u8]>) -> Explanation {
    let text = String::from_utf8_lossy(error.text_slice().unwrap_or_default());
    let text = text.trim_end_matches('\0').chars().take(MAX_TEXT_CHARS).collect();
    Explanation { code: error.code(), text }
}
