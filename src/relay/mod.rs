//! The relay: listens here, connects there, and passes bytes and endings both ways.
//!
//! - [`stream`]: TCP, TLS and Unix connections. Each has a session of two directions, a thread each.
//! - [`udp`]: datagrams. Each client has a flow: a thread with a socket that is connected to the target.
//!
//! Both use [`direction`], injected faults ([`fault`]) and the capture file ([`record`]).

pub mod direction;
pub mod fault;
pub mod record;
pub mod stream;
pub mod udp;
