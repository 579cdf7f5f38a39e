//! A DNS stub resolver for one name server, independent of the system's resolver.
//!
//! A query is sent over UDP with a random ID from a random port (RFC 1035 §4.2.1, EDNS of RFC 6891
//! with a payload size of 1232 bytes), retransmitted without a reply, and repeated over TCP if the
//! reply is truncated. A reply is accepted only if it is complete and well-formed;
//! [`MalformedResponse`] lists every way in which it may not be. No cache, no recursion.

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

pub use client::{QueryOptions, ReceivedResponse, query_any};
pub use edns::Explanation;
pub use error::{MalformedResponse, Mismatch, MismatchCounts, Section};
pub use localhost::local_records;
pub use question::{Name, Question, RecordType};
pub use record::{RecordData, ResourceRecord};
pub use resolv_conf::{configured, server};
pub use response::{Outcome, Response, read};
pub use search::SearchList;
