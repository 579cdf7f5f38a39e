//! The addresses of a recorded connection, and packets between them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use etherparse::{Ipv4Header, Ipv6Header, TcpHeader, TransportHeader, UdpHeader, ip_number};

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
        packet(from, to, TransportHeader::Tcp(header), payload)
    }

    /// A UDP datagram in `direction`.
    pub fn datagram(&self, direction: Direction, payload: &[u8]) -> Vec<u8> {
        let (from, to) = self.ends(direction);
        let (source_port, destination_port) = (from.port(), to.port());
        let length = (UdpHeader::LEN + payload.len()) as u16;
        let header = UdpHeader { source_port, destination_port, length, checksum: 0 };
        packet(from, to, TransportHeader::Udp(header), payload)
    }

    /// Source and destination.
    fn ends(&self, direction: Direction) -> (SocketAddr, SocketAddr) {
        match direction {
            Direction::ToTarget => (self.client, self.target),
            Direction::ToClient => (self.target, self.client),
        }
    }
}

/// A packet with a checksum added: IPv6 if one end is, with the other one mapped. Payloads are short
/// enough for the lengths and checksums of the headers.
fn packet(
    from: SocketAddr,
    to: SocketAddr,
    mut transport: TransportHeader,
    payload: &[u8],
) -> Vec<u8> {
    let length = transport.header_len() + payload.len();
    let is_tcp = matches!(transport, TransportHeader::Tcp(_));
    let protocol = if is_tcp { ip_number::TCP } else { ip_number::UDP };
    let mut packet = Vec::with_capacity(Ipv6Header::LEN + length);
    if let (IpAddr::V4(from), IpAddr::V4(to)) = (from.ip(), to.ip()) {
        let mut header = Ipv4Header {
            total_len: (Ipv4Header::MIN_LEN + length) as u16,
            time_to_live: HOPS,
            protocol,
            source: from.octets(),
            destination: to.octets(),
            ..Ipv4Header::default()
        };
        header.header_checksum = header.calc_header_checksum();
        let _ = transport.update_checksum_ipv4(&header, payload);
        packet.extend(header.to_bytes());
    } else {
        let header = Ipv6Header {
            payload_length: length as u16,
            next_header: protocol,
            hop_limit: HOPS,
            source: v6_octets(from.ip()),
            destination: v6_octets(to.ip()),
            ..Ipv6Header::default()
        };
        let _ = transport.update_checksum_ipv6(&header, payload);
        packet.extend(header.to_bytes());
    }
    // A vector takes all bytes.
    let _ = transport.write(&mut packet);
    packet.extend(payload);
    packet
}

fn v6_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
