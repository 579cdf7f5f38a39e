//! `relay --record`: the capture is read back, and both directions are in it exactly.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_file::pcapng::{Block, PcapNgReader};
use tempfile::TempDir;

use super::route::*;
use crate::support::peer::{self, Script};
use crate::support::sockit::sockit;

/// A TCP segment of a capture.
#[derive(Debug, Clone)]
struct Segment {
    from: SocketAddr,
    to: SocketAddr,
    flag: Flag,
    payload: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    None,
    Syn,
    Fin,
    Reset,
}

/// One stream of a capture.
struct Stream {
    to_target: Vec<u8>,
    to_client: Vec<u8>,
    flags: Vec<Flag>,
}

fn segment(packet: &[u8]) -> Segment {
    let packet = SlicedPacket::from_ip(packet).expect("an IP packet");
    let (from, to): (std::net::IpAddr, std::net::IpAddr) = match packet.net.expect("an IP header") {
        NetSlice::Ipv4(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        NetSlice::Ipv6(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        _ => panic!("no IP header"),
    };
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { panic!("no TCP segment") };
    let flag = match (tcp.syn(), tcp.fin(), tcp.rst()) {
        (true, _, _) => Flag::Syn,
        (_, true, _) => Flag::Fin,
        (_, _, true) => Flag::Reset,
        _ => Flag::None,
    };
    let (from, to) =
        (SocketAddr::new(from, tcp.source_port()), SocketAddr::new(to, tcp.destination_port()));
    Segment { from, to, flag, payload: tcp.payload().to_vec() }
}

/// The streams of a capture by the address of their client.
#[track_caller]
fn streams(path: &Path) -> BTreeMap<SocketAddr, Stream> {
    let mut reader = PcapNgReader::new(File::open(path).unwrap()).unwrap();
    let mut streams: BTreeMap<SocketAddr, Stream> = BTreeMap::new();
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block.expect("a complete block") else { continue };
        let segment = segment(&packet.data);
        let is_answer = streams.contains_key(&segment.to);
        let client = if is_answer { segment.to } else { segment.from };
        let stream = streams.entry(client).or_insert_with(|| Stream {
            to_target: Vec::new(),
            to_client: Vec::new(),
            flags: Vec::new(),
        });
        let bytes = if is_answer { &mut stream.to_client } else { &mut stream.to_target };
        bytes.extend(&segment.payload);
        stream.flags.extend(Some(segment.flag).filter(|flag| *flag != Flag::None));
    }
    streams
}

/// A folder with a path for a capture in it.
fn capture() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("relay.pcapng");
    (folder, path)
}

fn recording_route(path: &Path, flags: &str) -> Route {
    Route::relay_with(&format!("--record {} {flags}", path.display()))
}

/// Sends this many bytes in each direction, to both ends of stream.
fn exchange(ends: &Ends, to_target: usize, to_client: usize) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            send(&ends.client, &vec![1; to_target]);
            half_close(&ends.client);
        });
        scope.spawn(|| {
            send(&ends.server, &vec![2; to_client]);
            half_close(&ends.server);
        });
        scope.spawn(|| assert_eq!(read_to_end(&ends.server).0.len(), to_target));
        assert_eq!(read_to_end(&ends.client).0.len(), to_client);
    });
}

#[test]
fn capture_has_the_bytes_of_both_directions_and_their_ends() {
    let (_folder, path) = capture();
    let mut route = recording_route(&path, "--max-accepts 3");
    let mut clients = Vec::new();
    for len in [0, 10, 1_000_000] {
        let ends = route.connect();
        clients.push((ends.client.local_addr().unwrap().as_socket().unwrap(), len));
        exchange(&ends, len, len * 2);
    }
    route.relays.remove(0).wait().exits(0);
    let streams = streams(&path);
    assert_eq!(streams.len(), 3);
    for (client, len) in clients {
        let stream = &streams[&client];
        assert!(stream.to_target == vec![1; len] && stream.to_client == vec![2; len * 2]);
        assert_eq!(stream.flags, [Flag::Syn, Flag::Syn, Flag::Fin, Flag::Fin]);
    }
}

#[test]
fn resets_are_in_the_capture_as_they_were() {
    let (_folder, path) = capture();
    let mut route = recording_route(&path, "--max-accepts 2");
    let Ends { client, server } = route.connect();
    let first = client.local_addr().unwrap().as_socket().unwrap();
    send(&server, b"half an answer");
    receive(&client, 14);
    reset(server);
    assert_eq!(read_to_end(&client).1, End::Reset);
    let Ends { client, server } = route.connect();
    let second = client.local_addr().unwrap().as_socket().unwrap();
    half_close(&server);
    read_to_end(&client);
    reset(client);
    wait_for_reset(&server);
    route.relays.remove(0).wait();
    let streams = streams(&path);
    assert_eq!(streams[&first].flags, [Flag::Syn, Flag::Syn, Flag::Reset]);
    assert_eq!(streams[&first].to_client, b"half an answer");
    assert_eq!(streams[&second].flags, [Flag::Syn, Flag::Syn, Flag::Fin, Flag::Reset]);
}

#[test]
fn target_that_refuses_is_a_request_and_a_reset() {
    let (_folder, path) = capture();
    let refusing = crate::support::peer::Refusing::new();
    let record = format!("relay 0 {} --once --record {}", refusing.addr(), path.display());
    let relay = sockit(&record).serve();
    let client = std::net::TcpStream::connect(relay.addr()).unwrap();
    assert_eq!(read_to_end(&client.into()).1, End::Reset);
    relay.wait().exits(7);
    let streams = streams(&path);
    assert_eq!(streams.into_values().next().unwrap().flags, [Flag::Syn, Flag::Reset]);
}

#[cfg(feature = "tls")]
#[test]
fn tls_that_the_relay_ends_is_not_in_the_capture() {
    let (_folder, path) = capture();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let record = format!(
        "relay 0 {} --listen-tls --once --record {}",
        listener.local_addr().unwrap(),
        path.display()
    );
    let relay = sockit(&record).serve();
    let client = sockit("tcp-client --tls --insecure --send hello").to(relay.addr()).start();
    let server = listener.accept().unwrap().0.into();
    assert_eq!(receive(&server, 5), b"hello");
    send(&server, b"plain");
    drop(server);
    client.wait();
    relay.wait();
    let stream = streams(&path).into_values().next().unwrap();
    assert_eq!((&stream.to_target[..], &stream.to_client[..]), (&b"hello"[..], &b"plain"[..]));
}

#[test]
fn unix_sockets_have_addresses_for_documentation() {
    let (folder, path) = capture();
    let socket = folder.path().join("target");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let record = format!("relay 0 unix:{} --once --record {}", socket.display(), path.display());
    let relay = sockit(&record).serve();
    let client = std::net::TcpStream::connect(relay.addr()).unwrap();
    let ends = Ends { client: client.into(), server: listener.accept().unwrap().0.into() };
    exchange(&ends, 5, 6);
    drop(ends);
    relay.wait().exits(0);
    let streams = streams(&path);
    let (client, stream) = streams.first_key_value().unwrap();
    assert!(client.ip().to_canonical().is_loopback());
    assert_eq!((stream.to_target.len(), stream.to_client.len()), (5, 6));
}

#[test]
fn full_disk_is_reported_once_and_relaying_continues() {
    let mut route = recording_route(Path::new("/dev/full"), "--max-accepts 2");
    for _ in 0..2 {
        exchange(&route.connect(), 100_000, 100_000);
    }
    let run = route.relays.remove(0).wait();
    run.exits(23).logs("No space left on device");
    assert_eq!(run.stderr.matches("No space").count(), 1);
}

#[test]
fn capture_on_stdout_is_that_of_a_file() {
    let (_folder, path) = capture();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = sockit(&format!("relay 0 {} --once --record -", target.local_addr().unwrap()));
    let relay = relay.stdout_to(File::create(&path).unwrap()).serve();
    let mut client = peer::connect(relay.addr());
    let mut server = target.accept().unwrap().0;
    client.send([1; 1000]);
    client.half_close();
    assert_eq!(server.read_all(), [1; 1000]);
    server.send([2; 2000]);
    drop(server);
    assert_eq!(client.read_all(), [2; 2000]);
    relay.wait().exits(0);
    let stream = streams(&path).into_values().next().unwrap();
    assert_eq!((stream.to_target.len(), stream.to_client.len()), (1000, 2000));
    sockit("relay 0 127.0.0.1:1 --record - --print-port").run().exits(2);
}

#[test]
fn file_that_cannot_be_opened_is_an_error_before_the_relay_starts() {
    sockit("relay 0 127.0.0.1:1 --record /nonexistent/file").run().exits(23).fails_at("file");
}

#[test]
fn killed_run_leaves_a_readable_capture() {
    let (_folder, path) = capture();
    let mut route = recording_route(&path, "");
    let ends = route.connect();
    send(&ends.client, &[1; 50_000]);
    receive(&ends.server, 50_000);
    let relay = route.relays.remove(0);
    relay.signal(libc::SIGKILL);
    relay.wait();
    let stream = streams(&path).into_values().next().unwrap();
    assert_eq!(stream.to_target, [1; 50_000]);
}

#[test]
fn faults_are_in_the_capture_as_they_were_delivered() {
    let (_folder, path) = capture();
    let flags = "--fault to-client:close@1000 --fault to-target:corrupt=1/10 --once";
    let mut route = recording_route(&path, flags);
    let Ends { client, server } = route.connect();
    send(&server, &[2; 5000]);
    assert_eq!(read_to_end(&client), (vec![2; 1000], End::Eof));
    send(&client, &[1; 100]);
    half_close(&client);
    let (received, _) = read_to_end(&server);
    drop(server);
    route.relays.remove(0).wait();
    let stream = streams(&path).into_values().next().unwrap();
    assert_eq!((stream.to_client, stream.to_target), (vec![2; 1000], received));
    assert_eq!(stream.flags, [Flag::Syn, Flag::Syn, Flag::Fin, Flag::Fin]);
}

/// tshark, if PATH has it. It is no peer, and too large to be required.
fn tshark() -> Option<Command> {
    let found = Command::new("tshark").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: tshark is not on PATH");
    }
    found.then(|| Command::new("tshark"))
}

#[test]
fn tshark_finds_nothing_wrong_and_follows_the_stream() {
    let Some(mut tshark) = tshark() else { return };
    let (_folder, path) = capture();
    let mut route = recording_route(&path, "--max-accepts 2");
    exchange(&route.connect(), 30_000, 20_000);
    let Ends { client, server } = route.connect();
    reset(server);
    read_to_end(&client);
    route.relays.remove(0).wait();
    let checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"];
    let reports = ["-q", "-z", "expert,warn", "-z", "follow,tcp,raw,0", "-z", "conv,tcp"];
    let out = tshark.arg("-r").arg(&path).args(checks).args(reports).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success() && !stderr.contains("cut short"), "{stderr}");
    let lines = || text.lines();
    // A reset is the only thing that it warns about.
    let warnings: Vec<_> =
        lines().filter(|line| line.contains("Sequence") || line.contains("Checksum")).collect();
    assert!(warnings.iter().all(|line| line.contains("Connection reset (RST)")), "{text}");
    let hex =
        |line: &&str| !line.trim().is_empty() && line.trim().bytes().all(|b| b.is_ascii_hexdigit());
    let (to_client, to_target): (Vec<_>, Vec<_>) =
        lines().filter(hex).partition(|line| line.starts_with('\t'));
    let len = |lines: Vec<&str>| lines.iter().map(|line| line.trim().len() / 2).sum::<usize>();
    assert_eq!((len(to_target), len(to_client)), (30_000, 20_000));
    assert_eq!(lines().filter(|line| line.contains("<->")).count(), 2);
}
