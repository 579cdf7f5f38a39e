//! The fuzzed code for DNS replies, separate from the fuzzer, so that the ordinary tests can run it
//! too.

use sockit::resolver::dns;
use sockit::resolver::dns::{Outcome, Question, RecordType};

const TYPES: [&str; 8] = ["A", "AAAA", "MX", "TXT", "PTR", "CNAME", "SRV", "SOA"];

/// Reads `bytes` as the reply to a query: the first byte selects the type, the next two are the
/// expected ID.
///
/// Panics when a negative reply has records, when there are more records than bytes, or when a second
/// call returns another result.
pub fn dns_reply(bytes: &[u8]) {
    let [choice, high, low, message @ ..] = bytes else { return };
    let kind = TYPES[usize::from(*choice) % TYPES.len()];
    let Some(kind) = RecordType::from_word(kind) else { panic!("{kind} is a type") };
    let Ok(question) = Question::of("a.example", kind) else { panic!("a name") };
    let id = u16::from_be_bytes([*high, *low]);
    let read = dns::read(message, &question, id);
    if let Ok(reply) = &read {
        assert_eq!(reply.outcome == Outcome::Records, !reply.records.is_empty());
        let records: Vec<String> =
            reply.records.iter().map(|record| format!("{record:?}")).collect();
        assert!(records.len() <= message.len());
        assert_eq!(read, dns::read(message, &question, id));
    }
}
