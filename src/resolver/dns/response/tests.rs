//! Hand-made responses, well-formed ones and every malformed one.

use super::*;
use crate::resolver::dns::RecordType;
use proptest::prelude::*;

const ID: u16 = 0x1234;

fn question(kind: RecordType) -> Question {
    Question::of("a.test", kind).unwrap()
}

/// A response to `a.test A` with these flags, counts of answer and authority, and records.
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

fn parsed(bytes: &[u8]) -> Result<Response, MalformedResponse> {
    read(bytes, &question(RecordType::A), ID)
}

const ASKED: &[u8] = b"\xc0\x0c";
const GOOD: u16 = 0x8180;

#[test]
fn answer_has_its_addresses() {
    let two = [record(ASKED, 1, &[192, 0, 2, 1]), record(b"\x01A\x04TEST\0", 1, &[192, 0, 2, 2])];
    let reply = parsed(&reply(GOOD, [2, 0], &two.concat())).unwrap();
    assert_eq!(reply.outcome, Outcome::Records);
    let text: Vec<String> = reply.records.iter().map(|r| r.data.to_string()).collect();
    assert_eq!(text, ["192.0.2.1", "192.0.2.2"]);
}

#[test]
fn aliases_are_followed_to_their_target() {
    let alias = record(ASKED, 5, b"\x01b\x04test\0");
    let far = record(b"\x01b\x04test\0", 1, &[192, 0, 2, 9]);
    let unrelated = record(b"\x01c\x04test\0", 1, &[192, 0, 2, 66]);
    let all = [unrelated, far, alias.clone()].concat();
    let reply_ = parsed(&reply(GOOD, [3, 0], &all)).unwrap();
    let text: Vec<String> = reply_.records.iter().map(|r| r.data.to_string()).collect();
    assert_eq!(text, ["b.test", "192.0.2.9"]);
    for (flags, found) in
        [(GOOD, Outcome::NoData), (GOOD | 2, Outcome::ServerError("SERVFAIL".into()))]
    {
        let nowhere = parsed(&reply(flags, [1, 0], &alias)).unwrap();
        assert_eq!((nowhere.outcome, nowhere.records), (found, Vec::new()));
    }
    let circle = [alias, record(b"\x01b\x04test\0", 5, ASKED)].concat();
    assert_eq!(parsed(&reply(GOOD, [2, 0], &circle)), Err(MalformedResponse::Aliases));
}

#[test]
fn nxdomain_nodata_and_server_error_have_different_outcomes() {
    assert_eq!(parsed(&reply(GOOD, [0, 0], b"")).unwrap().outcome, Outcome::NoData);
    assert_eq!(parsed(&reply(GOOD | 3, [0, 0], b"")).unwrap().outcome, Outcome::NxDomain);
    for (code, word) in [(2, "SERVFAIL"), (5, "REFUSED"), (1, "FORMERR")] {
        let found = parsed(&reply(GOOD | code, [0, 0], b"")).unwrap().outcome;
        assert_eq!(found, Outcome::ServerError(word.into()));
    }
    assert_eq!(parsed(&reply(GOOD | 0x200, [9, 0], b"")).unwrap().outcome, Outcome::Truncated);
}

#[test]
fn referral_is_not_nodata() {
    const NO_RESOLVER: u16 = 0x8100;
    let servers = |owner: &[u8]| record(owner, 2, b"\x02ns\x04test\0");
    let start = record(b"\x04test\0", 6, &[&b"\0\0"[..], &[0; 20]].concat());
    let found =
        |flags, count, records: &[u8]| parsed(&reply(flags, [0, count], records)).unwrap().outcome;
    let parent = servers(b"\x04test\0");
    assert_eq!(found(NO_RESOLVER, 1, &parent), Outcome::Referral);
    assert_eq!(found(NO_RESOLVER, 1, &servers(b"\0")), Outcome::Referral);
    let with_start = [start, parent.clone()].concat();
    assert_eq!(found(NO_RESOLVER, 2, &with_start), Outcome::NoData);
    assert_eq!(found(NO_RESOLVER, 1, &servers(b"\x05other\0")), Outcome::NoData);
    for flags in [GOOD, NO_RESOLVER | 0x400] {
        assert_eq!(found(flags, 1, &parent), Outcome::NoData);
    }
}

#[test]
fn malformed_response_has_its_reason() {
    let a = record(ASKED, 1, &[192, 0, 2, 1]);
    let mut other_id = reply(GOOD, [0, 0], b"");
    other_id[0] ^= 1;
    let mut other_question = reply(GOOD, [0, 0], b"");
    other_question[13] = b'b';
    let count =
        |expected, found| MalformedResponse::Count { section: Section::Answer, expected, found };
    let cases = [
        (b"\x12\x34".to_vec(), MalformedResponse::Short(2)),
        (other_id, MalformedResponse::Mismatch(Mismatch::Id)),
        (other_question, MalformedResponse::Mismatch(Mismatch::Question)),
        (reply(0x0100, [0, 0], b""), MalformedResponse::NotAResponse),
        (reply(0xa100, [0, 0], b""), MalformedResponse::Opcode(4)),
        (
            reply(GOOD, [1, 0], &record(b"\xc0\x18", 1, &[1, 2, 3, 4])),
            MalformedResponse::Loop(Section::Answer),
        ),
        (
            reply(GOOD, [1, 0], &record(b"\xc0\xff", 1, &[1, 2, 3, 4])),
            MalformedResponse::Loop(Section::Answer),
        ),
        (reply(GOOD, [2, 0], &a), count(2, 1)),
        (reply(GOOD, [1, 0], &[&a[..], b"x"].concat()), MalformedResponse::Trailing(1)),
        (
            reply(GOOD, [1, 0], &record(b"\x01z\0", 1, &[1, 2, 3, 4])),
            MalformedResponse::Unrelated(RecordType::A),
        ),
        (reply(GOOD | 3, [1, 0], &a), MalformedResponse::Contradiction),
    ];
    for (bytes, malformed) in cases {
        assert_eq!(parsed(&bytes), Err(malformed.clone()), "{malformed}");
    }
}

#[test]
fn malformed_record_is_reported_by_its_position() {
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
        let malformed = parsed(&reply(GOOD, [2, 0], &records)).unwrap_err();
        assert!(
            matches!(malformed, MalformedResponse::Record { section: Section::Answer, nth: 2, .. }),
            "{malformed}"
        );
    }
}

#[test]
fn non_printable_bytes_are_escaped() {
    let ptr = Question { name: question(RecordType::A).name, kind: RecordType::PTR };
    let mut bytes = reply(GOOD, [1, 0], &record(ASKED, 12, b"\x05\x1b[2J\n\x01.\0"));
    bytes[21] = 12;
    let reply = read(&bytes, &ptr, ID).unwrap();
    assert_eq!(reply.records[0].data.to_string(), "\\027[2J\\010.\\.");
}

proptest! {
    #[test]
    fn parser_never_panics_on_any_option(
        code in 0u16..20,
        len in 0u16..20,
        data in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let options = [&code.to_be_bytes()[..], &len.to_be_bytes(), &data].concat();
        let mut bytes = reply(GOOD, [0, 0], &record(b"\0", 41, &options));
        bytes[11] = 1;
        match parsed(&bytes) {
            Ok(reply) => prop_assert_eq!(reply.outcome, Outcome::NoData),
            Err(malformed) => prop_assert_eq!(malformed, MalformedResponse::Opt("an option is truncated")),
        }
    }

    #[test]
    fn parser_never_panics_on_any_record(
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
        let asked = Question { name: question(RecordType::A).name, kind: RecordType(kind.into()) };
        if let Ok(reply) = read(&bytes, &asked, ID) {
            for record in reply.records {
                prop_assert!(!record.data.to_string().contains(|c: char| c.is_control()));
            }
        }
    }
}
