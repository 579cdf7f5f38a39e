//! Parses a response, without I/O: it is accepted completely or not at all.

use domain::base::Message;
use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::wire::ParseError;

use super::cname::{is_referral, select_answer};
use super::edns::Explanation;
use super::error::{MalformedResponse, Mismatch, Section};
use super::question::{Question, RecordType};
use super::record::ResourceRecord;
use super::sections::{Sections, malformed_record};

/// A well-formed response to the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// What it means.
    pub outcome: Outcome,
    /// The records of the answer, CNAME records first; empty unless the outcome is
    /// [`Outcome::Records`].
    pub records: Vec<ResourceRecord>,
    /// Whether the server is authoritative for the name (AA).
    pub authoritative: bool,
    /// The extended errors of the server (RFC 8914).
    pub explanations: Vec<Explanation>,
}

impl Response {
    /// Formats the extended errors to append them to a message; empty if there are none.
    pub fn explanation_suffix(&self) -> String {
        let reasons: Vec<String> = self.explanations.iter().map(Explanation::to_string).collect();
        if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) }
    }
}

/// The meaning of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Records.
    Records,
    /// The name exists, without records of this type (NODATA, RFC 2308 §2.2).
    NoData,
    /// No such name (NXDOMAIN).
    NxDomain,
    /// The server is neither authoritative nor recursive, and refers to other servers (RFC 2308 §2.2).
    Referral,
    /// The server failed or refused; its response code.
    ServerError(String),
    /// The response did not fit a datagram (TC); the query must be repeated over TCP.
    Truncated,
}

/// Parses the response to `question`, which was sent with `id`.
pub fn read(bytes: &[u8], question: &Question, id: u16) -> Result<Response, MalformedResponse> {
    let message = Message::from_slice(bytes).map_err(|_| MalformedResponse::Short(bytes.len()))?;
    check_header(message, id)?;
    check_question(message, question)?;
    let authoritative = message.header().aa();
    if message.header().tc() {
        let (records, explanations) = (Vec::new(), Vec::new());
        return Ok(Response { outcome: Outcome::Truncated, records, authoritative, explanations });
    }
    let Sections { answer, authority, explanations, .. } = Sections::parse(message)?;
    let may_refer = answer.is_empty() && !authoritative && !message.header().ra();
    let mut records = select_answer(answer, question)?;
    let mut outcome = interpret(message.opt_rcode(), &records, question.kind)?;
    if outcome == Outcome::NoData && may_refer && is_referral(&authority, question) {
        outcome = Outcome::Referral;
    }
    if outcome != Outcome::Records {
        // CNAME records without a target, or those of a server that failed after them.
        records.clear();
    }
    Ok(Response { outcome, records, authoritative, explanations })
}

fn check_header(message: &Message<[u8]>, id: u16) -> Result<(), MalformedResponse> {
    let header = message.header();
    if header.id() != id {
        return Err(MalformedResponse::Mismatch(Mismatch::Id));
    }
    if !header.qr() {
        return Err(MalformedResponse::NotAResponse);
    }
    if header.opcode() != Opcode::QUERY {
        return Err(MalformedResponse::Opcode(header.opcode().to_int()));
    }
    Ok(())
}

/// The response must repeat the question, in any letter case; an error response may omit it.
fn check_question(message: &Message<[u8]>, question: &Question) -> Result<(), MalformedResponse> {
    let count = message.header_counts().qdcount();
    let is_error = message.header().rcode() != Rcode::NOERROR;
    match count {
        0 if is_error => return Ok(()),
        0 => return Err(MalformedResponse::Mismatch(Mismatch::Question)),
        1 => (),
        more => return Err(MalformedResponse::Questions(more)),
    }
    let asked = message.sole_question().map_err(|error| match error {
        ParseError::ShortInput => {
            MalformedResponse::Count { section: Section::Question, expected: 1, found: 0 }
        }
        error => malformed_record(Section::Question, 1, error),
    })?;
    let same = asked.qname() == &question.name
        && asked.qtype() == question.kind.0
        && asked.qclass() == Class::IN;
    if same { Ok(()) } else { Err(MalformedResponse::Mismatch(Mismatch::Question)) }
}

/// Derives the outcome from the response code and the records of the answer.
fn interpret(
    code: OptRcode,
    records: &[ResourceRecord],
    kind: RecordType,
) -> Result<Outcome, MalformedResponse> {
    let answered = records.iter().any(|record| kind.0 == Rtype::ANY || record.kind == kind);
    match code {
        OptRcode::NOERROR if answered => Ok(Outcome::Records),
        OptRcode::NOERROR => Ok(Outcome::NoData),
        OptRcode::NXDOMAIN if answered => Err(MalformedResponse::Contradiction),
        OptRcode::NXDOMAIN => Ok(Outcome::NxDomain),
        other => Ok(Outcome::ServerError(other.to_string())),
    }
}

#[cfg(test)]
mod tests;
