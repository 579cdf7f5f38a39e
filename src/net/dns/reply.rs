//! Bytes in, facts out: a reply is read whole or not at all, with no socket near.

use domain::base::Message;
use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::message::RecordSection;
use domain::base::wire::ParseError;

use super::chain::{names_others, related};
use super::lie::{Lie, Part, Stray};
use super::question::{Kind, Question};
use super::record::{Record, read_record};

/// What a server told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Whether there is anything.
    pub found: Found,
    /// The records that answer, aliases first; empty unless found.
    pub records: Vec<Record>,
    /// Whether the server is in charge of the name (AA).
    pub authoritative: bool,
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
        return Ok(Reply { found: Found::Truncated, records: Vec::new(), authoritative });
    }
    let (all, authority) = read_sections(message)?;
    let refers = all.is_empty() && !authoritative && !message.header().ra();
    let mut records = related(all, question)?;
    let mut found = sense(message.opt_rcode(), &records, question.kind)?;
    if found == Found::NoData && refers && names_others(&authority, question) {
        found = Found::Elsewhere;
    }
    if found != Found::Records {
        // Aliases that lead nowhere, or that a failing server told before it failed.
        records.clear();
    }
    Ok(Reply { found, records, authoritative })
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

/// Walks all three sections to the last byte; the records of the answer and of the authority
/// section come back.
fn read_sections(message: &Message<[u8]>) -> Result<(Vec<Record>, Vec<Record>), Lie> {
    let counts = message.header_counts();
    let end = message.as_slice().len();
    let mut section = message.answer().map_err(|error| broken(Part::Question, 1, error))?;
    let (mut answer, mut authority) = (Vec::new(), Vec::new());
    let parts = [
        (Part::Answer, counts.ancount()),
        (Part::Authority, counts.nscount()),
        (Part::Additional, counts.arcount()),
    ];
    for (part, promised) in parts {
        let keep = match part {
            Part::Answer => Some(&mut answer),
            Part::Authority => Some(&mut authority),
            _ => None,
        };
        walk(&mut section, part, promised, keep, end)?;
        let at = section.pos();
        match section.next_section().map_err(|error| broken(part, promised, error))? {
            Some(next) => section = next,
            None if at < end => return Err(Lie::Trailing(end - at)),
            None => break,
        }
    }
    Ok((answer, authority))
}

fn walk(
    section: &mut RecordSection<'_, [u8]>,
    part: Part,
    promised: u16,
    mut keep: Option<&mut Vec<Record>>,
    end: usize,
) -> Result<(), Lie> {
    for nth in 0..promised {
        let at = section.pos();
        if at >= end {
            return Err(Lie::Count { part, promised, held: nth });
        }
        let Some(record) = section.next() else { break };
        let record = record.map_err(|error| broken(part, nth + 1, error))?;
        let record = read_record(record).map_err(|error| broken(part, nth + 1, error))?;
        if let (Some(kept), Some(record)) = (keep.as_deref_mut(), record) {
            kept.push(record);
        }
    }
    Ok(())
}

fn broken(part: Part, nth: u16, error: ParseError) -> Lie {
    match error.to_string() {
        // The parser's word for a pointer that does not lead backwards.
        why if why == "too many compression pointers" => Lie::Loop(part),
        _ if error == ParseError::ShortInput => {
            Lie::Broken { part, nth, why: "it runs beyond its end".into() }
        }
        why => Lie::Broken { part, nth, why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::dns::Kind;
    use proptest::prelude::*;

    const ID: u16 = 0x1234;

    fn question(kind: Kind) -> Question {
        Question::of("a.test", kind).unwrap()
    }

    /// A reply to `a.test A` with these flags, counts of answer and authority, and records.
    fn reply(flags: u16, counts: [u16; 2], records: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [ID, flags, 1, counts[0], counts[1], 0] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(b"\x01a\x04test\0\0\x01\0\x01");
        bytes.extend(records);
        bytes
    }

    /// One record for `owner`.
    fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
        let head = [owner, &kind.to_be_bytes(), b"\0\x01\0\0\0\x3c"].concat();
        [&head[..], &(data.len() as u16).to_be_bytes(), data].concat()
    }

    fn told(bytes: &[u8]) -> Result<Reply, Lie> {
        read(bytes, &question(Kind::A), ID)
    }

    const ASKED: &[u8] = b"\xc0\x0c";
    const GOOD: u16 = 0x8180;

    #[test]
    fn an_answer_is_its_addresses() {
        let two =
            [record(ASKED, 1, &[192, 0, 2, 1]), record(b"\x01A\x04TEST\0", 1, &[192, 0, 2, 2])];
        let reply = told(&reply(GOOD, [2, 0], &two.concat())).unwrap();
        assert_eq!(reply.found, Found::Records);
        let text: Vec<String> = reply.records.iter().map(|r| r.datum.to_string()).collect();
        assert_eq!(text, ["192.0.2.1", "192.0.2.2"]);
    }

    #[test]
    fn aliases_are_followed_to_what_they_have() {
        let alias = record(ASKED, 5, b"\x01b\x04test\0");
        let far = record(b"\x01b\x04test\0", 1, &[192, 0, 2, 9]);
        let stranger = record(b"\x01c\x04test\0", 1, &[192, 0, 2, 66]);
        let all = [stranger, far, alias.clone()].concat();
        let reply_ = told(&reply(GOOD, [3, 0], &all)).unwrap();
        let text: Vec<String> = reply_.records.iter().map(|r| r.datum.to_string()).collect();
        assert_eq!(text, ["b.test", "192.0.2.9"]);
        for (flags, found) in [(GOOD, Found::NoData), (GOOD | 2, Found::Failing("SERVFAIL".into()))]
        {
            let nowhere = told(&reply(flags, [1, 0], &alias)).unwrap();
            assert_eq!((nowhere.found, nowhere.records), (found, Vec::new()));
        }
        let circle = [alias, record(b"\x01b\x04test\0", 5, ASKED)].concat();
        assert_eq!(told(&reply(GOOD, [2, 0], &circle)), Err(Lie::Aliases));
    }

    #[test]
    fn absent_empty_and_failing_stay_apart() {
        assert_eq!(told(&reply(GOOD, [0, 0], b"")).unwrap().found, Found::NoData);
        assert_eq!(told(&reply(GOOD | 3, [0, 0], b"")).unwrap().found, Found::NoName);
        for (code, word) in [(2, "SERVFAIL"), (5, "REFUSED"), (1, "FORMERR")] {
            let found = told(&reply(GOOD | code, [0, 0], b"")).unwrap().found;
            assert_eq!(found, Found::Failing(word.into()));
        }
        assert_eq!(told(&reply(GOOD | 0x200, [9, 0], b"")).unwrap().found, Found::Truncated);
    }

    #[test]
    fn who_only_names_others_has_not_said_that_there_is_nothing() {
        const NO_RESOLVER: u16 = 0x8100;
        let servers = |owner: &[u8]| record(owner, 2, b"\x02ns\x04test\0");
        let start = record(b"\x04test\0", 6, &[&b"\0\0"[..], &[0; 20]].concat());
        let found =
            |flags, count, records: &[u8]| told(&reply(flags, [0, count], records)).unwrap().found;
        let parent = servers(b"\x04test\0");
        assert_eq!(found(NO_RESOLVER, 1, &parent), Found::Elsewhere);
        assert_eq!(found(NO_RESOLVER, 1, &servers(b"\0")), Found::Elsewhere);
        let with_start = [start, parent.clone()].concat();
        assert_eq!(found(NO_RESOLVER, 2, &with_start), Found::NoData);
        assert_eq!(found(NO_RESOLVER, 1, &servers(b"\x05other\0")), Found::NoData);
        for flags in [GOOD, NO_RESOLVER | 0x400] {
            assert_eq!(found(flags, 1, &parent), Found::NoData);
        }
    }

    #[test]
    fn every_lie_has_its_name() {
        let a = record(ASKED, 1, &[192, 0, 2, 1]);
        let mut other_id = reply(GOOD, [0, 0], b"");
        other_id[0] ^= 1;
        let mut other_question = reply(GOOD, [0, 0], b"");
        other_question[13] = b'b';
        let count = |promised, held| Lie::Count { part: Part::Answer, promised, held };
        let lies = [
            (b"\x12\x34".to_vec(), Lie::Short(2)),
            (other_id, Lie::Stray(Stray::Id)),
            (other_question, Lie::Stray(Stray::Question)),
            (reply(0x0100, [0, 0], b""), Lie::NotAReply),
            (reply(0xa100, [0, 0], b""), Lie::Opcode(4)),
            (reply(GOOD, [1, 0], &record(b"\xc0\x18", 1, &[1, 2, 3, 4])), Lie::Loop(Part::Answer)),
            (reply(GOOD, [1, 0], &record(b"\xc0\xff", 1, &[1, 2, 3, 4])), Lie::Loop(Part::Answer)),
            (reply(GOOD, [2, 0], &a), count(2, 1)),
            (reply(GOOD, [1, 0], &[&a[..], b"x"].concat()), Lie::Trailing(1)),
            (reply(GOOD, [1, 0], &record(b"\x01z\0", 1, &[1, 2, 3, 4])), Lie::Unrelated(Kind::A)),
            (reply(GOOD | 3, [1, 0], &a), Lie::Contradiction),
        ];
        for (bytes, lie) in lies {
            assert_eq!(told(&bytes), Err(lie.clone()), "{lie}");
        }
    }

    #[test]
    fn broken_records_are_told_by_their_place() {
        let a = record(ASKED, 1, &[192, 0, 2, 1]);
        let beyond = record(ASKED, 1, &[1, 2, 3, 4, 5]);
        let broken = [
            [&a[..], &a[..9]].concat(),
            [&a[..], &record(ASKED, 1, &[1, 2, 3])].concat(),
            [&a[..], &beyond].concat(),
            [&a[..], &record(ASKED, 5, b"\x80zz")].concat(),
            [&a[..], &record(ASKED, 16, b"\x09short")].concat(),
        ];
        for records in broken {
            let lie = told(&reply(GOOD, [2, 0], &records)).unwrap_err();
            assert!(matches!(lie, Lie::Broken { part: Part::Answer, nth: 2, .. }), "{lie}");
        }
    }

    #[test]
    fn peer_made_bytes_are_escaped() {
        let ptr = Question { name: question(Kind::A).name, kind: Kind::PTR };
        let mut bytes = reply(GOOD, [1, 0], &record(ASKED, 12, b"\x05\x1b[2J\n\x01.\0"));
        bytes[21] = 12;
        let reply = read(&bytes, &ptr, ID).unwrap();
        assert_eq!(reply.records[0].datum.to_string(), "\\027[2J\\010.\\.");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = told(&bytes);
        }

        #[test]
        fn no_record_makes_the_reader_panic(
            kind in prop_oneof![0u16..70, any::<u16>()],
            data in prop::collection::vec(any::<u8>(), 0..80),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = reply(GOOD, [1, 0], &record(ASKED, kind, &data));
            bytes[20..22].copy_from_slice(&kind.to_be_bytes());
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let asked = Question { name: question(Kind::A).name, kind: Kind(kind.into()) };
            if let Ok(reply) = read(&bytes, &asked, ID) {
                for record in reply.records {
                    prop_assert!(!record.datum.to_string().contains(|c: char| c.is_control()));
                }
            }
        }
    }
}
