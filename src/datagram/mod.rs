//! Messages with edges: a bound socket receives and sends datagrams, UDP or Unix, singly or in
//! batches.
//!
//! A datagram has no life as a connection has: it comes with an [`Envelope`] that says from whom
//! and to which of our addresses, and an answer is a new datagram with that envelope turned
//! round. Errors belong to single datagrams here, so none of them ends anything.

mod batch;
mod envelope;
pub mod guard;
#[cfg(target_os = "linux")]
mod linux;
mod mailbox;
mod multicast;
mod plain;
mod post;
pub mod rate;
mod resend;

pub use batch::{Batch, Bundle};
pub use envelope::{Envelope, Origin, Outgoing, Refused};
#[cfg(target_os = "linux")]
pub(super) use linux::hear_refusals;
pub use mailbox::Mailbox;
pub use multicast::{Group, set_hops};
pub use post::Sender;

/// The longest payload of a UDP datagram over IPv4 (RFC 768: 65,535 less 8 and IP's 20).
pub const LONGEST: usize = 65_507;
/// The most datagrams one system call moves (recvmmsg(2), sendmmsg(2)): past 32 nothing is won.
pub const MOST: usize = 32;
