//! UDP and Unix datagrams: sockets that receive and send in batches, a client and a server.
//!
//! A received datagram has a [`RecvMeta`] with the sender and the local address it was sent to; a
//! reply is a [`Transmit`] with both exchanged. An error belongs to one datagram and ends nothing
//! else.

pub mod bind;
pub mod client;
mod icmp_errors;
#[cfg(target_os = "linux")]
mod linux;
mod message;
mod multicast;
mod portable;
mod recv_batch;
mod send;
pub mod server;
mod socket;

#[cfg(test)]
mod tests;

pub use message::{LocalSource, RecvMeta, Transmit};
pub use recv_batch::{DatagramGroup, RecvBatch};
pub use socket::{DatagramSocket, RecvBuffer};

/// The longest payload of a UDP datagram over IPv4 (RFC 768: 65,535 less 8 and IP's 20).
pub const MAX_UDP_PAYLOAD: usize = 65_507;
/// Datagrams moved by one system call (recvmmsg(2), sendmmsg(2)); more than 32 measured no gain.
pub const BATCH_SIZE: usize = 32;
