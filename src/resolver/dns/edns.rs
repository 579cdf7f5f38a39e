//! What a server says besides its records: Extended DNS Errors (RFC 8914), options of EDNS's OPT
//! record.

use std::fmt;

use domain::base::ParsedRecord;
use domain::base::iana::ExtendedErrorCode;
use domain::base::opt::{ExtendedError, Opt};

use super::error::MalformedResponse;

/// The most of a server's own text that is kept, in characters.
const LONGEST_TEXT: usize = 256;

/// Why a server answered as it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    code: ExtendedErrorCode,
    /// The server's own words, often empty.
    text: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.code.to_mnemonic_str().unwrap_or("unknown extended error");
        write!(f, "{name} (EDE {})", self.code.to_int())?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}

/// The extended errors of an OPT record, none of which is cut.
pub(super) fn explanations(
    record: &ParsedRecord<'_, [u8]>,
) -> Result<Vec<Explanation>, MalformedResponse> {
    if !record.owner().is_root() {
        return Err(MalformedResponse::Opt("the OPT record has an owner name"));
    }
    let cut = |_| MalformedResponse::Opt("an option runs beyond its end");
    let Some(opt) = record.to_record::<Opt<&[u8]>>().map_err(cut)? else { return Ok(Vec::new()) };
    let errors = opt.data().iter::<ExtendedError<&[u8]>>();
    errors.map(|error| error.map(|error| explanation(&error)).map_err(cut)).collect()
}

fn explanation(error: &ExtendedError<&[u8]>) -> Explanation {
    let text = String::from_utf8_lossy(error.text_slice().unwrap_or_default());
    let text = text.trim_end_matches('\0').chars().take(LONGEST_TEXT).collect();
    Explanation { code: error.code(), text }
}
