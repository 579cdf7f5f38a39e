//! One DNS server asked directly, past the system's resolver.
//!
//! A question goes out over UDP with a random id from a random port (RFC 1035 §4.2.1,
//! EDNS of RFC 6891 offering 1232 bytes), again if nothing comes, and over TCP when the answer
//! does not fit. What comes back is believed only when it is whole: [`Lie`] has a name for
//! every way it can be wrong. No cache, no recursion of our own.

mod client;
mod cname;
mod edns;
mod error;
mod localhost;
mod question;
mod record;
mod resolv_conf;
mod response;
mod search;
mod sections;
mod tcp;
mod udp;

pub use client::{Answered, QueryOptions, query, query_any};
pub use edns::Explanation;
pub use error::{MalformedResponse, Mismatch, MismatchCounts, Section};
pub use localhost::local_records;
pub use question::{Name, Question, RecordType};
pub use record::{Record, RecordData};
pub use resolv_conf::{configured, server};
pub use response::{Outcome, Response, read};
pub use search::SearchList;
