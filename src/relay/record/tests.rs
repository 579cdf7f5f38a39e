//! Captures, read back with the crate and reassembled.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_file::pcapng::{Block, PcapNgReader};

use super::*;

/// One packet of a capture, with verified checksums.
struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    sequence: u32,
    acknowledged: Option<u32>,
    flags: &'static str,
    payload: Vec<u8>,
}

fn parse(bytes: &[u8]) -> Packet {
    let packet = SlicedPacket::from_ip(bytes).unwrap();
    let (from, to) = match packet.net.as_ref().unwrap() {
        NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            (header.source.into(), header.destination.into())
        }
        NetSlice::Ipv6(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        _ => panic!("no IP packet"),
    };
    let ip = |address: std::net::IpAddr, port| SocketAddr::new(address, port);
    match packet.transport.unwrap() {
        TransportSlice::Tcp(tcp) => {
            let header = tcp.to_header();
            let checksum = match packet.net.unwrap() {
                NetSlice::Ipv4(ip) => {
                    header.calc_checksum_ipv4(&ip.header().to_header(), tcp.payload())
                }
                NetSlice::Ipv6(ip) => {
                    header.calc_checksum_ipv6(&ip.header().to_header(), tcp.payload())
                }
                _ => panic!("no IP packet"),
            };
            assert_eq!(header.checksum, checksum.unwrap());
            let flags = match (header.syn, header.fin, header.rst) {
                (true, ..) => "SYN",
                (_, true, _) => "FIN",
                (_, _, true) => "RST",
                _ => "",
            };
            Packet {
                from: ip(from, header.source_port),
                to: ip(to, header.destination_port),
                sequence: header.sequence_number,
                acknowledged: header.ack.then_some(header.acknowledgment_number),
                flags,
                payload: tcp.payload().to_vec(),
            }
        }
        TransportSlice::Udp(udp) => Packet {
            from: ip(from, udp.source_port()),
            to: ip(to, udp.destination_port()),
            sequence: 0,
            acknowledged: None,
            flags: "UDP",
            payload: udp.payload().to_vec(),
        },
        _ => panic!("neither TCP nor UDP"),
    }
}

fn read(path: &Path) -> Vec<Packet> {
    let mut reader = PcapNgReader::new(File::open(path).unwrap()).unwrap();
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            packets.push(parse(&packet.data));
        }
    }
    packets
}

/// The bytes of each sender, in the order of its sequence numbers, with nothing missing or overlapping.
fn reassemble(packets: &[Packet]) -> BTreeMap<SocketAddr, Vec<u8>> {
    let mut next: BTreeMap<SocketAddr, u32> = BTreeMap::new();
    let mut streams: BTreeMap<SocketAddr, Vec<u8>> = BTreeMap::new();
    for packet in packets {
        if packet.flags == "SYN" {
            next.insert(packet.from, packet.sequence);
        }
        assert_eq!(packet.sequence, next[&packet.from]);
        let acknowledged = next.get(&packet.to).copied();
        assert!(packet.acknowledged.is_none() || packet.acknowledged == acknowledged);
        let length = packet.payload.len() as u32 + u32::from(matches!(packet.flags, "SYN" | "FIN"));
        next.insert(packet.from, packet.sequence.wrapping_add(length));
        streams.entry(packet.from).or_default().extend(&packet.payload);
    }
    streams
}

fn report() -> Report {
    Report::plain()
}

fn inet(address: &str) -> Address {
    address.parse::<SocketAddr>().unwrap().into()
}

#[test]
fn both_directions_are_read_back_exactly() {
    let (client, target) = ("127.0.0.1:40000", "127.0.0.1:80");
    for (client, target) in [(client, target), ("[::1]:40000", "[::1]:80"), (client, "[::1]:80")] {
        let file = tempfile::NamedTempFile::new().unwrap();
        let recorder = Recorder::create(file.path(), Stdout::standard(), &report()).unwrap();
        let connection = recorder.connection(1, &inet(client), &inet(target));
        let (question, answer) = (vec![1; 100_000], vec![2; 70_000]);
        for (sent, received) in question.chunks(1000).zip(answer.chunks(700)) {
            connection.bytes(Direction::ToTarget, sent);
            connection.bytes(Direction::ToClient, received);
        }
        connection.half_closed(Direction::ToTarget);
        connection.bytes(Direction::ToTarget, b"nothing follows a FIN");
        connection.bytes(Direction::ToClient, b"late");
        connection.reset(Direction::ToClient);
        connection.bytes(Direction::ToClient, b"nothing follows a RST");

        let packets = read(file.path());
        let streams: Vec<_> = reassemble(&packets).into_values().collect();
        let answer = [&answer[..], b"late"].concat();
        assert!(streams.contains(&question) && streams.contains(&answer));
        let flags: Vec<_> = packets.iter().map(|packet| packet.flags).collect();
        assert_eq!(flags[..3], ["SYN", "SYN", ""]);
        assert_eq!(flags.iter().filter(|flag| **flag == "FIN").count(), 1);
        assert_eq!(flags.last(), Some(&"RST"));
    }
}

#[test]
fn sequence_numbers_wrap() {
    let endpoints = PacketEndpoints::new(1, &inet("127.0.0.1:1"), &inet("127.0.0.1:2"));
    let mut conversation = Conversation::with_isn(endpoints, u32::MAX - 10, u32::MAX);
    let mut packets = conversation.open();
    packets.extend(conversation.data(Direction::ToTarget, &[7; 100_000]));
    packets.extend(conversation.finish(Direction::ToTarget));
    let packets: Vec<_> = packets.iter().map(|packet| parse(packet)).collect();
    let stream = &reassemble(&packets)[&"127.0.0.1:1".parse().unwrap()];
    assert_eq!(stream.len(), 100_000);
}

#[test]
fn unix_connections_have_distinct_addresses_beyond_65535() {
    let unix = Address::Unnamed;
    let endpoints = |conn| PacketEndpoints::new(conn, &unix, &unix);
    assert_ne!(endpoints(1), endpoints(65_537));
    assert_ne!(endpoints(1), endpoints((1 << 48) + 1));
    let packet = parse(&endpoints(70_000).datagram(Direction::ToTarget, b"x"));
    assert_eq!(packet.from.to_string(), "[2001:db8:0:1::1:1170]:49152");
    assert_eq!(packet.to.to_string(), "[2001:db8:0:2::1]:49152");
}

#[test]
fn refusal_is_a_request_and_a_reset() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let recorder = Recorder::create(file.path(), Stdout::standard(), &report()).unwrap();
    recorder.refused(1, &inet("127.0.0.1:4"), &inet("127.0.0.1:5"));
    let packets = read(file.path());
    let flags: Vec<_> = packets.iter().map(|packet| packet.flags).collect();
    assert_eq!(flags, ["SYN", "RST"]);
    assert_eq!(packets[1].acknowledged, Some(packets[0].sequence.wrapping_add(1)));
}

#[test]
fn datagrams_are_read_back() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let recorder = Recorder::create(file.path(), Stdout::standard(), &report()).unwrap();
    let flow = recorder.flow(1, &inet("127.0.0.1:4"), &inet("127.0.0.1:5"));
    flow.datagram(Direction::ToTarget, b"question");
    flow.datagram(Direction::ToClient, b"");
    flow.datagram(Direction::ToClient, &[1; 65_507]);
    let packets = read(file.path());
    let lengths: Vec<_> = packets.iter().map(|packet| packet.payload.len()).collect();
    assert_eq!(lengths, [8, 0, 65_507]);
    assert_eq!(packets[0].from.port(), 4);
}

#[test]
fn every_length_of_the_file_ends_with_a_complete_block() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let recorder = Recorder::create(file.path(), Stdout::standard(), &report()).unwrap();
    let connection = recorder.connection(1, &inet("127.0.0.1:4"), &inet("127.0.0.1:5"));
    let mut packets = read(file.path()).len();
    for _ in 0..10 {
        connection.bytes(Direction::ToClient, &[0; 40_000]);
        let more = read(file.path()).len();
        assert!(more > packets);
        packets = more;
    }
    assert_eq!(fs::metadata(file.path()).unwrap().len() % 4, 0);
}

#[test]
fn full_disk_is_reported_once_and_is_23() {
    let report = report();
    let recorder = Recorder::create(Path::new("/dev/full"), Stdout::standard(), &report).unwrap();
    let connection = recorder.connection(1, &inet("127.0.0.1:4"), &inet("127.0.0.1:5"));
    connection.bytes(Direction::ToClient, b"x");
    assert_eq!(report.finish(crate::error::ExitCode::Done), crate::error::ExitCode::Write);
    assert!(lock(&recorder.file).write(&[]).is_ok());
}
