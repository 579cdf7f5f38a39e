//! One DNS server asked directly, past the system's resolver.
//!
//! A question goes out over UDP with a random id from a random port (RFC 1035 §4.2.1,
//! EDNS of RFC 6891 offering 1232 bytes), again if nothing comes, and over TCP when the answer
//! does not fit. What comes back is believed only when it is whole: [`Lie`] has a name for
//! every way it can be wrong. No cache, no recursion of our own.

mod ask;
mod chain;
mod edns;
mod lie;
mod local;
mod question;
mod record;
mod reply;
mod search;
mod sections;
mod servers;
mod tcp;
mod udp;

pub use ask::{Asking, Told, ask, ask_any};
pub use edns::Explanation;
pub use lie::{Lie, Part, Stray, Strays};
pub use local::local_records;
pub use question::{Kind, Name, Question};
pub use record::{Datum, Record};
pub use reply::{Found, Reply, read};
pub use search::SearchList;
pub use servers::{configured, server};
