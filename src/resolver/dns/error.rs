//! Every way in which a response can be malformed, and the errors of a query.

use std::error::Error;
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
        f.write_str(match self {
            Section::Question => "question",
            Section::Answer => "answer",
            Section::Authority => "authority",
            Section::Additional => "additional",
        })
    }
}

/// Why a response does not belong to the query: over UDP it is ignored, as it may be forged; over
/// TCP it is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// Another ID.
    Id,
    /// Another question.
    Question,
    /// Another source address or port than that of the server.
    Source,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mismatch::Id => "a wrong id",
            Mismatch::Question => "another question",
            Mismatch::Source => "a wrong source address",
        })
    }
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
        for (nth, (mismatch, count)) in self.0.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(f, "{comma}{count} with {mismatch}")?;
        }
        Ok(())
    }
}

/// Why a response is rejected; always exit code 8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MalformedResponse {
    /// Shorter than a DNS header; its length in bytes.
    Short(usize),
    /// The QR bit is clear: a query, perhaps our own.
    NotAResponse,
    /// Another opcode than QUERY.
    Opcode(u8),
    /// More than one question.
    Questions(u16),
    /// It does not belong to the query.
    Mismatch(Mismatch),
    /// A compression pointer that does not point backwards.
    Loop(Section),
    /// The message ends before the records that its header counts.
    Count {
        /// The incomplete section.
        section: Section,
        /// The number of records in the header.
        expected: u16,
        /// The number of records in the message.
        found: u16,
    },
    /// Bytes after the last record.
    Trailing(usize),
    /// A malformed record.
    Record {
        /// Its section.
        section: Section,
        /// Its number in the section, from 1.
        nth: u16,
        /// What is wrong with it.
        why: String,
    },
    /// No record belongs to the queried name.
    Unrelated(RecordType),
    /// CNAME records that form a loop or a chain that is too long.
    Aliases,
    /// A name with two CNAME records (RFC 1034 §3.6.2 allows one).
    TwoAliases(Name),
    /// A record of the message (OPT, TSIG …) in a section where it is not allowed.
    Misplaced(RecordType, Section),
    /// A malformed OPT record (RFC 6891 §6.1).
    Opt(&'static str),
    /// NXDOMAIN together with records of the name.
    Contradiction,
    /// Truncated (TC) over TCP.
    Truncated,
    /// The connection was closed before the end of the response.
    Closed {
        /// Bytes received of the current part: the length, or the message.
        received: usize,
        /// Bytes of the message, if the length was received.
        expected: Option<usize>,
    },
    /// Only mismatches were received until the deadline.
    MismatchCounts(MismatchCounts),
}

impl fmt::Display for MalformedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use MalformedResponse::*;
        match self {
            Short(n) => {
                write!(f, "the reply is too short for a DNS message: {n} of at least 12 bytes")
            }
            NotAResponse => f.write_str("the reply is a query (QR clear)"),
            Opcode(n) => write!(f, "the reply has opcode {n} instead of QUERY"),
            Questions(n) => write!(f, "the reply has {n} questions instead of one"),
            Mismatch(mismatch) => write!(f, "the reply has {mismatch}"),
            Loop(section) => write!(f, "compression loop in a name in the {section} section"),
            Count { section, expected, found } => {
                write!(f, "wrong count: the {section} section has {found} of {expected} records")
            }
            Trailing(n) => write!(f, "{n} bytes follow the last record of the reply"),
            Record { section, nth, why } => {
                write!(f, "malformed record {nth} in the {section} section: {why}")
            }
            Unrelated(kind) => write!(f, "the answer has no {kind} record of the name"),
            Aliases => f.write_str("the aliases (CNAME) of the answer form a loop or are too many"),
            TwoAliases(name) => write!(f, "the answer has two aliases (CNAME) of {name}"),
            Misplaced(kind, section) => {
                write!(f, "misplaced {kind} record in the {section} section")
            }
            Opt(why) => write!(f, "malformed EDNS: {why}"),
            Contradiction => f.write_str("the reply is NXDOMAIN and has records of the name"),
            Truncated => f.write_str("the reply is truncated (TC) over TCP"),
            Closed { received, expected: None } => {
                write!(f, "the server closed the connection after {received} of 2 bytes of length")
            }
            Closed { received, expected: Some(expected) } => {
                write!(f, "the server closed the connection after {received} of {expected} bytes")
            }
            MismatchCounts(counts) => {
                write!(f, "timed out without a valid reply; ignored {counts}")
            }
        }
    }
}

impl Error for MalformedResponse {}

/// Why a query has no response.
#[derive(Debug)]
pub(super) enum QueryError {
    /// A malformed response.
    MalformedResponse(MalformedResponse),
    /// The deadline passed.
    TimedOut,
    /// A system call failed.
    System(io::Error),
}

impl From<MalformedResponse> for QueryError {
    fn from(malformed: MalformedResponse) -> QueryError {
        QueryError::MalformedResponse(malformed)
    }
}

impl From<io::Error> for QueryError {
    fn from(error: io::Error) -> QueryError {
        QueryError::System(error)
    }
}
