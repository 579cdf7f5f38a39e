//! Bytes in, facts out: a reply is read whole or not at all, with no socket near.

use domain::base::Message;
use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::wire::ParseError;

use super::cname::{is_referral, select_answer};
use super::edns::Explanation;
use super::error::{MalformedResponse, Mismatch, Section};
use super::question::{Question, RecordType};
use super::record::Record;
use super::sections::{Sections, broken};

/// What a server told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Whether there is anything.
    pub found: Outcome,
    /// The records that answer, aliases first; empty unless found.
    pub records: Vec<Record>,
    /// Whether the server is in charge of the name (AA).
    pub authoritative: bool,
    /// The server's reasons (RFC 8914).
    pub explanations: Vec<Explanation>,
}

impl Response {
    /// The server's reasons, to be put behind what it answered; empty without any.
    pub fn reasons(&self) -> String {
        let reasons: Vec<String> = self.explanations.iter().map(Explanation::to_string).collect();
        if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) }
    }
}

/// The sense of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Records.
    Records,
    /// The name exists, without records of this type (NODATA, RFC 2308 §2.2).
    NoData,
    /// No such name (NXDOMAIN).
    NxDomain,
    /// The server is not in charge, asks nobody and only names others (a referral, RFC 2308 §2.2).
    Referral,
    /// The server will not or cannot say; its response code.
    ServerError(String),
    /// The reply did not fit a datagram: ask again over TCP.
    Truncated,
}

/// Reads the reply to `question`, sent with `id`.
pub fn read(bytes: &[u8], question: &Question, id: u16) -> Result<Response, MalformedResponse> {
    let message = Message::from_slice(bytes).map_err(|_| MalformedResponse::Short(bytes.len()))?;
    check_header(message, id)?;
    check_question(message, question)?;
    let authoritative = message.header().aa();
    if message.header().tc() {
        let (records, explanations) = (Vec::new(), Vec::new());
        return Ok(Response { found: Outcome::Truncated, records, authoritative, explanations });
    }
    let Sections { answer, authority, explanations, .. } = Sections::read(message)?;
    let refers = answer.is_empty() && !authoritative && !message.header().ra();
    let mut records = select_answer(answer, question)?;
    let mut found = sense(message.opt_rcode(), &records, question.kind)?;
    if found == Outcome::NoData && refers && is_referral(&authority, question) {
        found = Outcome::Referral;
    }
    if found != Outcome::Records {
        // Aliases that lead nowhere, or that a failing server told before it failed.
        records.clear();
    }
    Ok(Response { found, records, authoritative, explanations })
}

fn check_header(message: &Message<[u8]>, id: u16) -> Result<(), MalformedResponse> {
    let header = message.header();
    if header.id() != id {
        return Err(MalformedResponse::Mismatch(Mismatch::Id));
    }
    if !header.qr() {
        return Err(MalformedResponse::NotAReply);
    }
    if header.opcode() != Opcode::QUERY {
        return Err(MalformedResponse::Opcode(header.opcode().to_int()));
    }
    Ok(())
}

/// The question must be ours, in any case of letters; a server that cannot serve may leave
/// it out.
fn check_question(message: &Message<[u8]>, question: &Question) -> Result<(), MalformedResponse> {
    let count = message.header_counts().qdcount();
    let erring = message.header().rcode() != Rcode::NOERROR;
    match count {
        0 if erring => return Ok(()),
        0 => return Err(MalformedResponse::Mismatch(Mismatch::Question)),
        1 => (),
        more => return Err(MalformedResponse::Questions(more)),
    }
    let asked = message.sole_question().map_err(|error| match error {
        ParseError::ShortInput => {
            MalformedResponse::Count { part: Section::Question, promised: 1, held: 0 }
        }
        error => broken(Section::Question, 1, error),
    })?;
    let same = asked.qname() == &question.name
        && asked.qtype() == question.kind.0
        && asked.qclass() == Class::IN;
    if same { Ok(()) } else { Err(MalformedResponse::Mismatch(Mismatch::Question)) }
}

/// What a response code and the records that answer mean together.
fn sense(
    code: OptRcode,
    records: &[Record],
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
