//! Belonging to a group: what is sent to its address comes to every member (RFC 1112, RFC 3493 §5.2).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::net::netdevice::name_to_index;
use socket2::{InterfaceIndexOrAddress, Socket};

use crate::error::{Failure, Phase};

/// A group to join, and on which interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MulticastGroup {
    /// The group's address; an IPv6 one may carry its interface as scope.
    pub address: SocketAddr,
    /// This interface only, by name.
    pub interface: Option<String>,
    /// The interface that has this address, besides the one that the kernel's routes name.
    pub extra_interface: Option<IpAddr>,
}

/// The loopback's interface, everywhere.
const LOOPBACK: u32 = 1;

impl MulticastGroup {
    /// Makes `socket` a member. One interface that lets us in is enough.
    ///
    /// Fails at [`Stage::Bind`] with what the first interface said.
    pub fn join(&self, socket: &Socket) -> Result<(), Failure> {
        self.try_all(socket).map_err(|e| Failure::new(Phase::Bind, self.address.ip(), e))
    }

    fn try_all(&self, socket: &Socket) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            // Linux also hands on what other sockets have joined, unless told not to (ip(7)).
            let _ = match self.address {
                SocketAddr::V4(_) => socket.set_multicast_all_v4(false),
                SocketAddr::V6(_) => socket.set_multicast_all_v6(false),
            };
        }
        if let Some(name) = &self.interface {
            return self.on_index(socket, name_to_index(socket, name)?);
        }
        match (self.address, self.extra_interface) {
            (SocketAddr::V4(group), Some(IpAddr::V4(ip))) => require_any([
                socket.join_multicast_v4(group.ip(), &Ipv4Addr::UNSPECIFIED),
                socket.join_multicast_v4(group.ip(), &ip),
            ]),
            (SocketAddr::V6(group), Some(ip)) if ip.is_loopback() && group.scope_id() == 0 => {
                require_any([self.on_index(socket, 0), self.on_index(socket, LOOPBACK)])
            }
            (SocketAddr::V6(group), _) => self.on_index(socket, group.scope_id()),
            _ => self.on_index(socket, 0),
        }
    }

    fn on_index(&self, socket: &Socket, index: u32) -> io::Result<()> {
        match self.address {
            SocketAddr::V4(group) => {
                socket.join_multicast_v4_n(group.ip(), &InterfaceIndexOrAddress::Index(index))
            }
            SocketAddr::V6(group) => socket.join_multicast_v6(group.ip(), index),
        }
    }
}

fn require_any([first, second]: [io::Result<()>; 2]) -> io::Result<()> {
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
