//! Belonging to a group: what is sent to its address comes to every member (RFC 1112, RFC 3493 §5.2).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::Socket;

use crate::failure::{Failure, Stage};

/// A group to join, and on which interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The group's address; an IPv6 one may carry its interface as scope.
    pub address: SocketAddr,
    /// The interface that has this address, besides the one that the kernel's routes name.
    pub beside: Option<IpAddr>,
}

impl Group {
    /// Makes `socket` a member. One interface that lets us in is enough.
    ///
    /// Fails at [`Stage::Bind`] with what the first interface said.
    pub fn join(&self, socket: &Socket) -> Result<(), Failure> {
        let tries = match (self.address, self.beside) {
            (SocketAddr::V4(group), beside) => {
                let join = |on: Ipv4Addr| socket.join_multicast_v4(group.ip(), &on);
                let beside = match beside {
                    Some(IpAddr::V4(ip)) if !ip.is_unspecified() => Some(join(ip)),
                    _ => None,
                };
                [Some(join(Ipv4Addr::UNSPECIFIED)), beside]
            }
            (SocketAddr::V6(group), beside) => {
                let join = |on| socket.join_multicast_v6(group.ip(), on);
                // Interface 1 is the loopback's, everywhere.
                let on_loopback = beside.is_some_and(|ip| ip.is_loopback());
                let beside = (on_loopback && group.scope_id() == 0).then(|| join(1));
                [Some(join(group.scope_id())), beside]
            }
        };
        one_is_enough(tries).map_err(|e| Failure::new(Stage::Bind, self.address.ip(), e))
    }
}

fn one_is_enough(tries: [Option<io::Result<()>>; 2]) -> io::Result<()> {
    let [first, second] = tries.map(|done| done.unwrap_or(Err(io::ErrorKind::NotFound.into())));
    first.or_else(|e| second.map_err(|_| e))
}

/// How many networks a datagram of ours to a group may cross (`IP_MULTICAST_TTL`); the kernel's own
/// choice is 1.
pub fn set_hops(socket: &Socket, v6: bool, hops: u8) -> io::Result<()> {
    match v6 {
        true => socket.set_multicast_hops_v6(hops.into()),
        false => socket.set_multicast_ttl_v4(hops.into()),
    }
}
