//! The calls that no crate makes for us: batches (recvmmsg(2), sendmmsg(2)), the address a datagram
//! was sent to, merged datagrams (udp(7), `UDP_GRO`, `UDP_SEGMENT`), and ICMP's errors.
#![allow(unsafe_code)] // message headers are pointers; each block says what keeps them alive

mod control;
mod options;
mod receive;
mod refused;
mod send;

pub(in crate::net) use options::hear_refusals;
pub(super) use options::{merge, tell_origin, widen};
pub(super) use receive::receive;
pub(super) use refused::refused;
pub(super) use send::send;
