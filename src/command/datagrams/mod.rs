//! What the commands on datagrams share, UDP and Unix alike: a server that answers each datagram by
//! itself, and a client that sends, listens and counts.
//!
//! udp-echo, udp-server, udp-client and the two Unix commands under `--datagram` differ only in how
//! they come to their socket.

pub mod asking;
pub mod call;
pub mod choice;
pub mod duty;
mod figures;
pub mod group;
mod ping;
mod print;
pub mod serve;
pub mod source;
mod talk;
mod tally;
mod window;

pub use duty::Duty;
pub use ping::ping;
pub use serve::{Plan, serve};
pub use talk::{Letters, talk};

use socket2::Socket;

use crate::failure::{Failure, Stage};
use crate::net::address::Address;

/// Where a socket is bound. Fails at [`Stage::Bind`] when it is not.
pub fn local(socket: &Socket) -> Result<Address, Failure> {
    let local = socket.local_addr().map_err(|e| Failure::new(Stage::Bind, "", e))?;
    Ok(Address::from(&local))
}
