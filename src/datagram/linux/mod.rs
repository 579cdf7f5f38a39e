//! The calls that no crate makes for us: batches (recvmmsg(2), sendmmsg(2)), the address a datagram
//! was sent to, merged datagrams (udp(7), `UDP_GRO`, `UDP_SEGMENT`), and ICMP's errors.
#![allow(unsafe_code)] // message headers are pointers; each block says what keeps them alive

mod cmsg;
mod error_queue;
mod options;
mod recvmmsg;
mod sendmmsg;

pub(super) use error_queue::refused;
pub(super) use options::{enable_gro, enable_pktinfo, force_recv_buffer};
pub(super) use recvmmsg::receive;
pub(super) use sendmmsg::send;
