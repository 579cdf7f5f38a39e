//! The addresses of a recorded connection, and packets between them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use etherparse::{IpNumber, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader, ip_number};

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
        let addresses = IpAddresses::new(from, to);
        // The payload is short enough for a checksum and for the lengths of the headers.
        header.checksum = addresses.tcp_checksum(&header, payload);
        let length = header.header_len() + payload.len();
        [&addresses.header(ip_number::TCP, length), &header.to_bytes()[..], payload].concat()
    }

    /// A UDP datagram in `direction`.
    pub fn datagram(&self, direction: Direction, payload: &[u8]) -> Vec<u8> {
        let (from, to) = self.ends(direction);
        let addresses = IpAddresses::new(from, to);
        let length = UdpHeader::LEN + payload.len();
        let (source_port, destination_port) = (from.port(), to.port());
        let mut header =
            UdpHeader { source_port, destination_port, length: length as u16, checksum: 0 };
        header.checksum = addresses.udp_checksum(&header, payload);
        [&addresses.header(ip_number::UDP, length), &header.to_bytes()[..], payload].concat()
    }

    /// Source and destination.
    fn ends(&self, direction: Direction) -> (SocketAddr, SocketAddr) {
        match direction {
            Direction::ToTarget => (self.client, self.target),
            Direction::ToClient => (self.target, self.client),
        }
    }
}

/// Source and destination of a packet: IPv6 if one of them is, with the other one mapped.
enum IpAddresses {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

impl IpAddresses {
    fn new(from: SocketAddr, to: SocketAddr) -> IpAddresses {
        match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => IpAddresses::V4(from.octets(), to.octets()),
            (from, to) => IpAddresses::V6(v6_octets(from), v6_octets(to)),
        }
    }

    /// The IP header of a packet with `length` bytes after it.
    fn header(&self, protocol: IpNumber, length: usize) -> Vec<u8> {
        match *self {
            IpAddresses::V4(source, destination) => {
                let mut header = Ipv4Header {
                    total_len: (Ipv4Header::MIN_LEN + length) as u16,
                    time_to_live: HOPS,
                    protocol,
                    source,
                    destination,
                    ..Ipv4Header::default()
                };
                header.header_checksum = header.calc_header_checksum();
                header.to_bytes().to_vec()
            }
            IpAddresses::V6(source, destination) => {
                let header = Ipv6Header {
                    payload_length: length as u16,
                    next_header: protocol,
                    hop_limit: HOPS,
                    source,
                    destination,
                    ..Ipv6Header::default()
                };
                header.to_bytes().to_vec()
            }
        }
    }

    fn tcp_checksum(&self, header: &TcpHeader, payload: &[u8]) -> u16 {
        let checksum = match *self {
            IpAddresses::V4(from, to) => header.calc_checksum_ipv4_raw(from, to, payload),
            IpAddresses::V6(from, to) => header.calc_checksum_ipv6_raw(from, to, payload),
        };
        checksum.unwrap_or_default()
    }

    fn udp_checksum(&self, header: &UdpHeader, payload: &[u8]) -> u16 {
        let checksum = match *self {
            IpAddresses::V4(from, to) => header.calc_checksum_ipv4_raw(from, to, payload),
            IpAddresses::V6(from, to) => header.calc_checksum_ipv6_raw(from, to, payload),
        };
        checksum.unwrap_or_default()
    }
}

fn v6_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
