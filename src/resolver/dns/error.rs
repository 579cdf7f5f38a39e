//! Every way in which a response can be malformed, and the errors of a query.

use std::fmt;
use std::io;

use super::question::{Name, RecordType};

/// A section of a message (RFC 1035 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The question, repeated.
    Question,
    /// The records that answer it.
    Answer,
    /// NS and SOA records of the zone.
    Authority,
    /// Further records, such as OPT.
    Additional,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

/// Why a response does not belong to the query: over UDP it is ignored, as it may be forged; over
/// TCP it is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another ID.
    #[error("a wrong id")]
    Id,
    /// Another question.
    #[error("another question")]
    Question,
    /// Another source address or port than that of the server.
    #[error("a wrong source address")]
    Source,
}

/// How many datagrams were ignored, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MismatchCounts(Vec<(Mismatch, u32)>);

impl MismatchCounts {
    /// Counts one datagram.
    pub fn count(&mut self, mismatch: Mismatch) {
        match self.0.iter_mut().find(|(seen, _)| *seen == mismatch) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.0.push((mismatch, 1)),
        }
    }

    /// Whether none was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for MismatchCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.iter().map(|(mismatch, count)| format!("{count} with {mismatch}"));
        f.write_str(&counts.collect::<Vec<_>>().join(", "))
    }
}

/// Why a response is rejected; always exit code 8.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the text of each is its description
pub enum MalformedResponse {
    #[error("the reply is too short for a DNS message: {0} of at least 12 bytes")]
    Short(usize),
    #[error("the reply is a query (QR clear)")]
    NotAResponse,
    #[error("the reply has opcode {0} instead of QUERY")]
    Opcode(u8),
    #[error("the reply has {0} questions instead of one")]
    Questions(u16),
    #[error("the reply has {0}")]
    Mismatch(Mismatch),
    /// A compression pointer that does not point backwards.
    #[error("compression loop in a name in the {0} section")]
    Loop(Section),
    #[error("wrong count: the {section} section has {found} of {expected} records")]
    Count { section: Section, expected: u16, found: u16 },
    #[error("{0} bytes follow the last record of the reply")]
    Trailing(usize),
    /// The record is counted from 1.
    #[error("malformed record {nth} in the {section} section: {why}")]
    Record { section: Section, nth: u16, why: String },
    #[error("the answer has no {0} record of the name")]
    Unrelated(RecordType),
    #[error("the aliases (CNAME) of the answer form a loop or are too many")]
    Aliases,
    /// RFC 1034 §3.6.2 allows one.
    #[error("the answer has two aliases (CNAME) of {0}")]
    TwoAliases(Name),
    /// A record of the message (OPT, TSIG …) in a section where it is not allowed.
    #[error("misplaced {0} record in the {1} section")]
    Misplaced(RecordType, Section),
    /// RFC 6891 §6.1.
    #[error("malformed EDNS: {0}")]
    Opt(&'static str),
    #[error("the reply is NXDOMAIN and has records of the name")]
    Contradiction,
    #[error("the reply is truncated (TC) over TCP")]
    Truncated,
    /// After so many bytes of the current part, the length or the message.
    #[error("the server closed the connection after {received} of {expected}")]
    Closed { received: usize, expected: String },
    #[error("timed out without a valid reply; ignored {0}")]
    MismatchCounts(MismatchCounts),
}

/// Why a query has no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    #[error(transparent)]
    MalformedResponse(#[from] MalformedResponse),
    #[error("the deadline passed")]
    TimedOut,
    #[error(transparent)]
    System(#[from] io::Error),
}
