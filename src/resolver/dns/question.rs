//! What is asked: a name, a type, and the bytes they make.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::IpAddr;

use domain::base::iana::Rtype;
use domain::base::{MessageBuilder, name};

use crate::error::{Failure, Phase};
use crate::resolver::getaddrinfo;

/// A whole domain name, in wire form; its text has no last dot, and escapes whatever is not
/// plain ASCII.
pub type Name = name::Name<Vec<u8>>;

/// How many bytes of reply we offer to take over UDP: what fits any path unfragmented (the
/// DNS flag day of 2020).
const OFFER: u16 = 1232;

/// The types a question can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordType(pub(super) Rtype);

impl RecordType {
    /// An IPv4 address.
    pub const A: RecordType = RecordType(Rtype::A);
    /// An IPv6 address.
    pub const AAAA: RecordType = RecordType(Rtype::AAAA);
    /// The name of an address.
    pub const PTR: RecordType = RecordType(Rtype::PTR);
    /// Whatever the server has.
    pub const ANY: RecordType = RecordType(Rtype::ANY);
    /// The words `--type` takes.
    pub const WORDS: [&'static str; 17] = [
        "A", "AAAA", "PTR", "CNAME", "MX", "NS", "SOA", "TXT", "SRV", "CAA", "HTTPS", "TLSA", "DS",
        "SSHFP", "DNSKEY", "NAPTR", "ANY",
    ];

    /// The type that a word of [`RecordType::WORDS`] or `TYPE` and its number (RFC 3597 §5) names, in any
    /// case of letters; none for a type that no record of a name has.
    pub fn from_word(word: &str) -> Option<RecordType> {
        let word = word.to_ascii_uppercase();
        let number = word.strip_prefix("TYPE").unwrap_or_default();
        let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let known = numbered || RecordType::WORDS.contains(&word.as_str());
        let kind = known.then(|| word.parse().ok().map(RecordType)).flatten()?;
        (kind == RecordType::ANY || !kind.is_meta()).then_some(kind)
    }

    /// Whether the type belongs to messages or questions and not to a name: OPT, and the types from
    /// TKEY to ANY (RFC 6895 §3.1).
    pub(super) fn is_meta(self) -> bool {
        matches!(self.0.to_int(), 41 | 249..=255)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An id that nobody can foresee (RFC 5452 §4.4): the standard library's hasher is keyed by the
/// kernel's random numbers, with ways of its own to them where getrandom(2) fails, and no panic.
fn random_id() -> u16 {
    RandomState::new().build_hasher().finish() as u16
}

/// A name and the type of record wanted of it; the class is always IN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whose records.
    pub name: Name,
    /// Which records.
    pub kind: RecordType,
}

impl Question {
    /// The records of `kind` that `host` has; a name beyond ASCII is asked in its `xn--` form.
    ///
    /// Fails as usage (2) when `host` cannot be a domain name.
    pub fn of(host: &str, kind: RecordType) -> Result<Question, Failure> {
        let ascii = getaddrinfo::ascii(getaddrinfo::well_formed(host)?)?;
        let name = Name::vec_from_str(&ascii)
            .map_err(|error| Failure::usage(Phase::Resolve, host, error.to_string()))?;
        Ok(Question { name, kind })
    }

    /// The names of an address: PTR under `in-addr.arpa` or `ip6.arpa` (RFC 1035 §3.5,
    /// RFC 3596 §2.5); a v4-mapped address is asked as IPv4.
    pub fn reverse(address: IpAddr) -> Result<Question, Failure> {
        let name = Name::reverse_from_addr(address.to_canonical())
            .map_err(|error| Failure::new(Phase::Resolve, address, error.to_string()))?;
        Ok(Question { name, kind: RecordType::PTR })
    }

    /// The query as it goes out, with a fresh random id; `edns` offers room for long replies.
    pub(super) fn query(&self, edns: bool) -> io::Result<EncodedQuery> {
        let full = |_| io::Error::other("the question does not fit a message");
        let mut message = MessageBuilder::new_vec();
        let id = random_id();
        message.header_mut().set_id(id);
        message.header_mut().set_rd(true);
        let mut questions = message.question();
        questions.push((&self.name, self.kind.0)).map_err(full)?;
        let mut additional = questions.additional();
        if edns {
            let offer = |opt: &mut domain::base::message_builder::OptBuilder<_>| {
                opt.set_udp_payload_size(OFFER);
                Ok(())
            };
            additional.opt(offer).map_err(full)?;
        }
        Ok(EncodedQuery { id, bytes: additional.finish() })
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.kind)
    }
}

/// A question on its way: its bytes and the id its reply must carry.
#[derive(Debug)]
pub(super) struct EncodedQuery {
    pub id: u16,
    pub bytes: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    #[test]
    fn addresses_are_asked_backwards() {
        let v4 = Question::reverse("192.0.2.7".parse().unwrap()).unwrap();
        assert_eq!(v4.to_string(), "7.2.0.192.in-addr.arpa PTR");
        let mapped = Question::reverse("::ffff:192.0.2.7".parse().unwrap()).unwrap();
        assert_eq!(mapped, v4);
        let v6 = Question::reverse("2001:db8::1".parse().unwrap()).unwrap();
        assert!(v6.to_string().starts_with("1.0.0.0.") && v6.to_string().ends_with("ip6.arpa PTR"));
    }

    #[test]
    fn a_query_is_one_question_with_room_offered() {
        let query = Question::of("a.test", RecordType::A).unwrap().query(true).unwrap();
        assert_eq!(&query.bytes[..2], query.id.to_be_bytes());
        assert_eq!(&query.bytes[2..12], [1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(&query.bytes[24..28], [0, 0, 41, 4]);
    }

    #[test]
    fn types_are_words_in_any_case() {
        assert_eq!(RecordType::from_word("aaaa"), Some(RecordType::AAAA));
        assert!(RecordType::WORDS.iter().all(|word| RecordType::from_word(word).is_some()));
        assert_eq!(RecordType::from_word("type1"), Some(RecordType::A));
        assert_eq!(RecordType::from_word("TYPE65280").unwrap().to_string(), "TYPE65280");
        for word in ["AXFR", "TYPE252", "TYPE41", "TYPE", "TYPE+1", "TYPE65536", "", "TYP\u{c9}1"] {
            assert_eq!(RecordType::from_word(word), None, "{word}");
        }
    }

    #[test]
    fn labels_that_are_too_long_are_usage() {
        let refused = Question::of(&"a".repeat(64), RecordType::A).unwrap_err();
        assert_eq!(refused.code, ExitCode::Usage);
    }
}
