//! Every way a reply can be wrong, each with words of its own.

use std::error::Error;
use std::fmt;
use std::io;

use super::question::{Name, RecordType};

/// A section of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The question repeated.
    Question,
    /// The records asked for.
    Answer,
    /// The servers in charge.
    Authority,
    /// What may help further.
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

/// A reply to something we did not ask: over UDP a forger's guess, passed over while time is
/// left; over TCP a lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The id is another.
    Id,
    /// The question is another.
    Question,
    /// It came from an address or a port we did not ask.
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

/// How many strays of each kind came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MismatchCounts(Vec<(Mismatch, u32)>);

impl MismatchCounts {
    /// One more.
    pub fn count(&mut self, stray: Mismatch) {
        match self.0.iter_mut().find(|(seen, _)| *seen == stray) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.0.push((stray, 1)),
        }
    }

    /// Whether none came.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for MismatchCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (stray, count)) in self.0.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(f, "{comma}{count} with {stray}")?;
        }
        Ok(())
    }
}

/// Why a reply is not believed; every one is exit code 8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MalformedResponse {
    /// Fewer bytes than a DNS header has.
    Short(usize),
    /// The bit that marks a reply is clear: our question came back, or somebody else's.
    NotAReply,
    /// Not the reply to a standard query.
    Opcode(u8),
    /// More than one question where one was asked.
    Questions(u16),
    /// A reply to something else.
    Mismatch(Mismatch),
    /// Names that point at themselves, or forward.
    Loop(Section),
    /// The message ends before the records the header counts.
    Count {
        /// Where.
        part: Section,
        /// How many the header counts.
        promised: u16,
        /// How many are there.
        held: u16,
    },
    /// Bytes after the last record.
    Trailing(usize),
    /// A record that cannot be read.
    Broken {
        /// Where.
        part: Section,
        /// Which, from 1.
        nth: u16,
        /// What is wrong with it.
        why: String,
    },
    /// No record belongs to the name that was asked.
    Unrelated(RecordType),
    /// Aliases that lead in a circle, or on and on.
    Aliases,
    /// A name with two aliases (RFC 1034 §3.6.2 allows one).
    TwoAliases(Name),
    /// A record of the message's own (OPT, TSIG …) where none may be.
    Misplaced(RecordType, Section),
    /// What is wrong with EDNS (RFC 6891 §6.1).
    Opt(&'static str),
    /// NXDOMAIN beside records of the very name.
    Contradiction,
    /// Cut short over TCP, where everything fits.
    Truncated,
    /// The connection ended before the reply did.
    Closed {
        /// Bytes that came, the two of the length included.
        got: usize,
        /// Bytes promised, if the length came.
        of: Option<usize>,
    },
    /// Only strays came until the time was up.
    MismatchCounts(MismatchCounts),
}

impl fmt::Display for MalformedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MalformedResponse::Short(n) => {
                write!(f, "the reply is too short for a DNS message: {n} of at least 12 bytes")
            }
            MalformedResponse::NotAReply => {
                f.write_str("the reply is a question itself (QR clear)")
            }
            MalformedResponse::Opcode(n) => {
                write!(f, "the reply is to another kind of request (opcode {n})")
            }
            MalformedResponse::Questions(n) => {
                write!(f, "the reply repeats {n} questions, and one was asked")
            }
            MalformedResponse::Mismatch(stray) => write!(f, "the reply has {stray}"),
            MalformedResponse::Loop(part) => write!(
                f,
                "compression loop: a name in the {part} section points at itself or forward"
            ),
            MalformedResponse::Count { part, promised, held } => {
                write!(f, "wrong count: the {part} section promises {promised} and holds {held}")
            }
            MalformedResponse::Trailing(n) => {
                write!(f, "{n} bytes follow the last record the reply counts")
            }
            MalformedResponse::Broken { part, nth, why } => {
                write!(f, "malformed record {nth} in the {part} section: {why}")
            }
            MalformedResponse::Unrelated(kind) => {
                write!(f, "the answer holds no {kind} record of the name that was asked")
            }
            MalformedResponse::Aliases => {
                f.write_str("the aliases (CNAME) of the answer never end")
            }
            MalformedResponse::TwoAliases(name) => {
                write!(f, "the answer has two aliases (CNAME) of {name}")
            }
            MalformedResponse::Misplaced(kind, part) => {
                write!(f, "misplaced {kind} record in the {part} section")
            }
            MalformedResponse::Opt(why) => write!(f, "malformed EDNS: {why}"),
            MalformedResponse::Contradiction => {
                f.write_str("the reply says NXDOMAIN and has records of the name")
            }
            MalformedResponse::Truncated => f.write_str("the reply is truncated (TC) over TCP"),
            MalformedResponse::Closed { got, of: None } => {
                write!(f, "the server closed the connection after {got} of 2 bytes of length")
            }
            MalformedResponse::Closed { got, of: Some(of) } => {
                write!(f, "the server closed the connection after {got} of {of} bytes")
            }
            MalformedResponse::MismatchCounts(strays) => {
                write!(f, "timed out without a true reply; ignored {strays}")
            }
        }
    }
}

impl Error for MalformedResponse {}

/// What can come between a question and its reply.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A malformed reply.
    MalformedResponse(MalformedResponse),
    /// No time is left.
    Late,
    /// A failing system call.
    System(io::Error),
}

impl From<MalformedResponse> for Trouble {
    fn from(lie: MalformedResponse) -> Trouble {
        Trouble::MalformedResponse(lie)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::System(error)
    }
}
