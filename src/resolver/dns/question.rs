//! A DNS question: a name, a record type, and their encoding.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::IpAddr;

use domain::base::iana::Rtype;
use domain::base::{MessageBuilder, name};

use crate::error::{Failure, Phase};
use crate::resolver::host_name;

/// A complete domain name in wire format; its text has no trailing dot, and bytes that are not
/// printable ASCII are escaped.
pub type Name = name::Name<Vec<u8>>;

/// The advertised UDP payload size in bytes, which needs no fragmentation on common paths (DNS flag
/// day 2020).
const UDP_PAYLOAD_SIZE: u16 = 1232;

/// A record type that a question can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordType(pub(super) Rtype);

impl RecordType {
    /// An IPv4 address.
    pub const A: RecordType = RecordType(Rtype::A);
    /// An IPv6 address.
    pub const AAAA: RecordType = RecordType(Rtype::AAAA);
    /// The name of an address.
    pub const PTR: RecordType = RecordType(Rtype::PTR);
    /// All types (RFC 8482: a server may return a subset).
    pub const ANY: RecordType = RecordType(Rtype::ANY);
    /// The names of `--type`.
    pub const WORDS: [&'static str; 17] = [
        "A", "AAAA", "PTR", "CNAME", "MX", "NS", "SOA", "TXT", "SRV", "CAA", "HTTPS", "TLSA", "DS",
        "SSHFP", "DNSKEY", "NAPTR", "ANY",
    ];

    /// Parses a name of [`RecordType::WORDS`] or `TYPEnnn` (RFC 3597 §5), in any letter case; `None`
    /// for a type that no record of a name has.
    pub fn from_word(word: &str) -> Option<RecordType> {
        let word = word.to_ascii_uppercase();
        let number = word.strip_prefix("TYPE").unwrap_or_default();
        let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let known = numbered || RecordType::WORDS.contains(&word.as_str());
        let kind = known.then(|| word.parse().ok().map(RecordType)).flatten()?;
        (kind == RecordType::ANY || !kind.is_meta()).then_some(kind)
    }

    /// Whether this is a meta-type or question type: OPT, and the types from TKEY to ANY (RFC 6895
    /// §3.1).
    pub(super) fn is_meta(self) -> bool {
        matches!(self.0.to_int(), 41 | 249..=255)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns an unpredictable ID (RFC 5452 §4.4): the hasher of the standard library is keyed by random
/// numbers of the kernel, has a fallback if getrandom(2) fails, and does not panic.
fn random_id() -> u16 {
    RandomState::new().build_hasher().finish() as u16
}

/// A name and a record type; the class is always IN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The owner name.
    pub name: Name,
    /// The record type.
    pub kind: RecordType,
}

impl Question {
    /// Asks for the records of type `kind` of `host`; an internationalized name is converted to its
    /// `xn--` form.
    ///
    /// Fails with 2 if `host` is not a domain name.
    pub fn of(host: &str, kind: RecordType) -> Result<Question, Failure> {
        let ascii = host_name::to_ascii(host_name::check_name(host)?)?;
        let name = Name::vec_from_str(&ascii)
            .map_err(|error| Failure::usage(Phase::Resolve, host, error.to_string()))?;
        Ok(Question { name, kind })
    }

    /// Asks for the names of an address: PTR under `in-addr.arpa` or `ip6.arpa` (RFC 1035 §3.5,
    /// RFC 3596 §2.5), in lower case as in all zones; a v4-mapped address is converted to IPv4.
    pub fn reverse(address: IpAddr) -> Result<Question, Failure> {
        let mut name: Name = Name::reverse_from_addr(address.to_canonical())
            .map_err(|error| Failure::new(Phase::Resolve, address, error.to_string()))?;
        name.make_canonical();
        Ok(Question { name, kind: RecordType::PTR })
    }

    /// Encodes the query, with a new random ID and, with [`Edns::On`], an OPT record.
    pub(super) fn encode(&self, edns: Edns) -> io::Result<EncodedQuery<'_>> {
        let too_long = |_| io::Error::other("the question does not fit a message");
        let mut message = MessageBuilder::new_vec();
        let id = random_id();
        message.header_mut().set_id(id);
        message.header_mut().set_rd(true);
        let mut questions = message.question();
        questions.push((&self.name, self.kind.0)).map_err(too_long)?;
        let mut additional = questions.additional();
        if edns == Edns::On {
            let set_size = |opt: &mut domain::base::message_builder::OptBuilder<_>| {
                opt.set_udp_payload_size(UDP_PAYLOAD_SIZE);
                Ok(())
            };
            additional.opt(set_size).map_err(too_long)?;
        }
        Ok(EncodedQuery { question: self, id, bytes: additional.finish() })
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.kind)
    }
}

/// Whether a query has an OPT record (RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edns {
    On,
    Off,
}

/// An encoded query, and what its reply must have.
#[derive(Debug)]
pub(super) struct EncodedQuery<'a> {
    pub question: &'a Question,
    pub id: u16,
    pub bytes: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    #[test]
    fn reverse_question_is_a_ptr_question() {
        let v4 = Question::reverse("192.0.2.7".parse().unwrap()).unwrap();
        assert_eq!(v4.to_string(), "7.2.0.192.in-addr.arpa PTR");
        let mapped = Question::reverse("::ffff:192.0.2.7".parse().unwrap()).unwrap();
        assert_eq!(mapped, v4);
        let v6 = Question::reverse("2001:db8::1".parse().unwrap()).unwrap();
        let zeros = "0.".repeat(23);
        assert_eq!(v6.to_string(), format!("1.{zeros}8.b.d.0.1.0.0.2.ip6.arpa PTR"));
    }

    #[test]
    fn query_has_one_question_and_an_opt_record() {
        let question = Question::of("a.test", RecordType::A).unwrap();
        let query = question.encode(Edns::On).unwrap();
        assert_eq!(&query.bytes[..2], query.id.to_be_bytes());
        assert_eq!(&query.bytes[2..12], [1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(&query.bytes[24..28], [0, 0, 41, 4]);
    }

    #[test]
    fn type_names_have_any_letter_case() {
        assert_eq!(RecordType::from_word("aaaa"), Some(RecordType::AAAA));
        assert!(RecordType::WORDS.iter().all(|word| RecordType::from_word(word).is_some()));
        assert_eq!(RecordType::from_word("type1"), Some(RecordType::A));
        assert_eq!(RecordType::from_word("TYPE65280").unwrap().to_string(), "TYPE65280");
        for word in ["AXFR", "TYPE252", "TYPE41", "TYPE", "TYPE+1", "TYPE65536", "", "TYP\u{c9}1"] {
            assert_eq!(RecordType::from_word(word), None, "{word}");
        }
    }

    #[test]
    fn label_that_is_too_long_is_usage_error() {
        let error = Question::of(&"a".repeat(64), RecordType::A).unwrap_err();
        assert_eq!(error.code, ExitCode::Usage);
    }
}
