//! Bytes in, facts out: a reply is read whole or not at all, with no socket near.

use domain::base::Message;
use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::wire::ParseError;

use super::cname::{names_others, related};
use super::edns::Explanation;
use super::error::{Lie, Part, Stray};
use super::question::{Kind, Question};
use super::record::Record;
use super::sections::{Sections, broken};

/// What a server told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Whether there is anything.
    pub found: Found,
    /// The records that answer, aliases first; empty unless found.
    pub records: Vec<Record>,
    /// Whether the server is in charge of the name (AA).
    pub authoritative: bool,
    /// The server's reasons (RFC 8914).
    pub explanations: Vec<Explanation>,
}

impl Reply {
    /// The server's reasons, to be put behind what it answered; empty without any.
    pub fn reasons(&self) -> String {
        let reasons: Vec<String> = self.explanations.iter().map(Explanation::to_string).collect();
        if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) }
    }
}

/// The sense of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Records.
    Records,
    /// The name exists, without records of this type (NODATA, RFC 2308 §2.2).
    NoData,
    /// No such name (NXDOMAIN).
    NoName,
    /// The server is not in charge, asks nobody and only names others (a referral, RFC 2308 §2.2).
    Elsewhere,
    /// The server will not or cannot say; its response code.
    Failing(String),
    /// The reply did not fit a datagram: ask again over TCP.
    Truncated,
}

/// Reads the reply to `question`, sent with `id`.
pub fn read(bytes: &[u8], question: &Question, id: u16) -> Result<Reply, Lie> {
    let message = Message::from_slice(bytes).map_err(|_| Lie::Short(bytes.len()))?;
    check_header(message, id)?;
    check_question(message, question)?;
    let authoritative = message.header().aa();
    if message.header().tc() {
        let (records, explanations) = (Vec::new(), Vec::new());
        return Ok(Reply { found: Found::Truncated, records, authoritative, explanations });
    }
    let Sections { answer, authority, explanations, .. } = Sections::read(message)?;
    let refers = answer.is_empty() && !authoritative && !message.header().ra();
    let mut records = related(answer, question)?;
    let mut found = sense(message.opt_rcode(), &records, question.kind)?;
    if found == Found::NoData && refers && names_others(&authority, question) {
        found = Found::Elsewhere;
    }
    if found != Found::Records {
        // Aliases that lead nowhere, or that a failing server told before it failed.
        records.clear();
    }
    Ok(Reply { found, records, authoritative, explanations })
}

fn check_header(message: &Message<[u8]>, id: u16) -> Result<(), Lie> {
    let header = message.header();
    if header.id() != id {
        return Err(Lie::Stray(Stray::Id));
    }
    if !header.qr() {
        return Err(Lie::NotAReply);
    }
    if header.opcode() != Opcode::QUERY {
        return Err(Lie::Opcode(header.opcode().to_int()));
    }
    Ok(())
}

/// The question must be ours, in any case of letters; a server that cannot serve may leave
/// it out.
fn check_question(message: &Message<[u8]>, question: &Question) -> Result<(), Lie> {
    let count = message.header_counts().qdcount();
    let erring = message.header().rcode() != Rcode::NOERROR;
    match count {
        0 if erring => return Ok(()),
        0 => return Err(Lie::Stray(Stray::Question)),
        1 => (),
        more => return Err(Lie::Questions(more)),
    }
    let asked = message.sole_question().map_err(|error| match error {
        ParseError::ShortInput => Lie::Count { part: Part::Question, promised: 1, held: 0 },
        error => broken(Part::Question, 1, error),
    })?;
    let same = asked.qname() == &question.name
        && asked.qtype() == question.kind.0
        && asked.qclass() == Class::IN;
    if same { Ok(()) } else { Err(Lie::Stray(Stray::Question)) }
}

/// What a response code and the records that answer mean together.
fn sense(code: OptRcode, records: &[Record], kind: Kind) -> Result<Found, Lie> {
    let answered = records.iter().any(|record| kind.0 == Rtype::ANY || record.kind == kind);
    match code {
        OptRcode::NOERROR if answered => Ok(Found::Records),
        OptRcode::NOERROR => Ok(Found::NoData),
        OptRcode::NXDOMAIN if answered => Err(Lie::Contradiction),
        OptRcode::NXDOMAIN => Ok(Found::NoName),
        other => Ok(Found::Failing(other.to_string())),
    }
}

#[cfg(test)]
mod tests;
