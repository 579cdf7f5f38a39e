//! Messages with edges: a bound socket receives and sends datagrams, UDP or Unix, singly or in
//! batches.
//!
//! A datagram has no life as a connection has: it comes with an [`Envelope`] that says from whom
//! and to which of our addresses, and an answer is a new datagram with that envelope turned
//! round. Errors belong to single datagrams here, so none of them ends anything.

pub mod client;
#[cfg(target_os = "linux")]
mod linux;
pub mod listen;
mod message;
mod multicast;
pub mod multicast_bind;
mod portable;
mod recv_batch;
mod send_retry;
mod sender;
pub mod server;
mod socket;

pub use message::{IcmpError, LocalSource, RecvMeta, Transmit};
pub use multicast::{MulticastGroup, set_hops};
pub use recv_batch::{DatagramGroup, RecvBatch};
pub use sender::Sender;
pub use socket::DatagramSocket;

/// The longest payload of a UDP datagram over IPv4 (RFC 768: 65,535 less 8 and IP's 20).
pub const MAX_UDP_PAYLOAD: usize = 65_507;
/// The most datagrams one system call moves (recvmmsg(2), sendmmsg(2)): past 32 nothing is won.
pub const BATCH_SIZE: usize = 32;
