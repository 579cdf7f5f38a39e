//! Multicast: joining a group, and the hop limit of what is sent to one (RFC 1112, RFC 3493 §5.2).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::net::netdevice::name_to_index;
use socket2::{InterfaceIndexOrAddress, Socket};

use crate::error::{Failure, Phase};
use crate::net::listen::ListenOptions;
use crate::resolver;

/// The interface index of the loopback device.
const LOOPBACK: u32 = 1;

/// Binds a socket and joins it to the multicast group with the address or name `group`.
///
/// If `options` names every interface, the socket also receives unicast datagrams to its port; if
/// it names one address, only datagrams to the group, also on the interface of that address.
/// Fails with code 2 if `group` is not a multicast address, at [`Phase::Bind`] if it cannot be
/// joined, else as [`ListenOptions::bind_datagram`] does.
pub fn bind(mut options: ListenOptions<'_>, group: &str) -> Result<Socket, Failure> {
    let found = resolver::addresses(group, 0, options.family, options.deadline)?;
    let address = found.first().copied().filter(|address| address.ip().is_multicast());
    let not_multicast = || Failure::usage(Phase::Resolve, group, "not a multicast group");
    let address = address.ok_or_else(not_multicast)?;
    let interface = options.socket_options.interface.clone();
    let extra_interface = options.host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    if !options.is_any_interface() {
        options.host = group.to_string();
    }
    let socket = options.bind_datagram()?;
    let group = MulticastGroup { address, interface, extra_interface };
    group.join(&socket).map_err(|e| Failure::new(Phase::Bind, address.ip(), e))?;
    Ok(socket)
}

/// Sets the hop limit of multicast datagrams (`IP_MULTICAST_TTL`); the kernel's default is 1.
pub fn set_hops(socket: &Socket, address: &SocketAddr, hops: u8) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => socket.set_multicast_ttl_v4(hops.into()),
        SocketAddr::V6(_) => socket.set_multicast_hops_v6(hops.into()),
    }
}

/// A group and the interfaces to join it on.
struct MulticastGroup {
    /// The group's address; an IPv6 one may have its interface as scope.
    address: SocketAddr,
    /// The name of the only interface to join on.
    interface: Option<String>,
    /// An address of another interface to join on, besides the one of the routing table.
    extra_interface: Option<IpAddr>,
}

impl MulticastGroup {
    /// Joins the group. One interface is enough; the error is that of the first.
    fn join(&self, socket: &Socket) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            // By default Linux also delivers groups that other sockets have joined (ip(7)).
            let _ = match self.address {
                SocketAddr::V4(_) => socket.set_multicast_all_v4(false),
                SocketAddr::V6(_) => socket.set_multicast_all_v6(false),
            };
        }
        if let Some(name) = &self.interface {
            return self.join_on(socket, name_to_index(socket, name)?);
        }
        match (self.address, self.extra_interface) {
            (SocketAddr::V4(group), Some(IpAddr::V4(ip))) => require_any([
                socket.join_multicast_v4(group.ip(), &Ipv4Addr::UNSPECIFIED),
                socket.join_multicast_v4(group.ip(), &ip),
            ]),
            (SocketAddr::V6(group), Some(ip)) if ip.is_loopback() && group.scope_id() == 0 => {
                require_any([self.join_on(socket, 0), self.join_on(socket, LOOPBACK)])
            }
            (SocketAddr::V6(group), _) => self.join_on(socket, group.scope_id()),
            _ => self.join_on(socket, 0),
        }
    }

    fn join_on(&self, socket: &Socket, index: u32) -> io::Result<()> {
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
