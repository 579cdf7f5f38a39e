//! System calls that no crate wraps: batches (recvmmsg(2), sendmmsg(2)), local addresses, merged
//! datagrams (udp(7), `UDP_GRO`, `UDP_SEGMENT`), and the error queue.
#![allow(unsafe_code)] // message headers hold pointers; each block says what keeps them valid

mod cmsg;
mod error_queue;
mod recvmmsg;
mod sendmmsg;

pub(super) use error_queue::read_icmp_error;
pub(super) use recvmmsg::receive;
pub(super) use sendmmsg::send;
