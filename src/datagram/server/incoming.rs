//! Received datagrams on their way through the server.

use crate::datagram::DatagramGroup;
use crate::net::address::Address;

/// A group of received datagrams, and its place among all of them.
pub struct Incoming<'a> {
    /// The datagrams, all of one sender.
    pub group: DatagramGroup<'a>,
    /// The sender.
    pub peer: Address,
    /// The number of datagrams received before them.
    pub previous: u64,
}
