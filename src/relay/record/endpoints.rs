//! The addresses of a recorded connection, and packets between them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep, TcpHeader};

use crate::net::address::Address;
use crate::relay::direction::Direction;

/// Time to live of made-up packets.
const HOPS: u8 = 64;
/// Port of Unix sockets: a dynamic one, which is no known service (RFC 6335 §6).
const UNIX_PORT: u16 = 49152;

/// Client and target of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketEndpoints {
    client: SocketAddr,
    target: SocketAddr,
}

impl PacketEndpoints {
    /// The addresses of connection `conn`. A Unix socket has one for documentation (RFC 3849), which
    /// for a client has the number of the connection in it, so that streams differ.
    pub fn new(conn: u64, client: &Address, target: &Address) -> PacketEndpoints {
        let [a, b, c, d] = [48, 32, 16, 0].map(|shift| (conn >> shift) as u16);
        let unix_client = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, a, b, c, d);
        let unix_target = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1);
        let inet = |address: &Address, unix: Ipv6Addr| {
            address.inet().unwrap_or(SocketAddr::from((unix, UNIX_PORT)))
        };
        PacketEndpoints { client: inet(client, unix_client), target: inet(target, unix_target) }
    }

    /// A TCP segment in `direction`, with ports and checksums added.
    pub fn segment(&self, direction: Direction, mut header: TcpHeader, payload: &[u8]) -> Vec<u8> {
        let (from, to) = self.ends(direction);
        (header.source_port, header.destination_port) = (from.port(), to.port());
        let mut packet = Vec::new();
        // A segment is short enough for the length fields of its headers.
        let _ = ip_packet(from, to).tcp_header(header).write(&mut packet, payload);
        packet
    }

    /// A UDP datagram in `direction`.
    pub fn datagram(&self, direction: Direction, payload: &[u8]) -> Vec<u8> {
        let (from, to) = self.ends(direction);
        let mut packet = Vec::new();
        // No payload that was received is too long for the length fields of its headers.
        let _ = ip_packet(from, to).udp(from.port(), to.port()).write(&mut packet, payload);
        packet
    }

    /// Source and destination.
    fn ends(&self, direction: Direction) -> (SocketAddr, SocketAddr) {
        match direction {
            Direction::ToTarget => (self.client, self.target),
            Direction::ToClient => (self.target, self.client),
        }
    }
}

/// The IP header of a packet: IPv6 if one end is, with the other one mapped.
fn ip_packet(from: SocketAddr, to: SocketAddr) -> PacketBuilderStep<IpHeaders> {
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), HOPS),
        (from, to) => PacketBuilder::ipv6(v6_octets(from), v6_octets(to), HOPS),
    }
}

fn v6_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
