//! What a hostile peer can cost: memory, for as long as it neither reads nor leaves.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::peer::{Script, call, peer};
use crate::support::proc_stats::{own_memory, peak_memory};
use crate::support::process::Running;
use crate::support::sockit::sockit;

/// KiB that a server may spend on a client that never reads.
const PER_CALLER: u64 = 1 << 10;
/// KiB of any client.
const CLIENT: u64 = 16 << 10;
/// KiB of http-get with a hostile answer: a decoder's window comes on top.
#[cfg(feature = "http")]
const HTTP_GET: u64 = 32 << 10;
/// Said by one of them at most, where all of it is heard (a room with nobody else in it).
const MOST: usize = 24 << 20;
/// How long nothing moves before everything that would be taken has been.
const STUCK: Duration = Duration::from_millis(300);

/// Calls, talks until nobody takes any more of it, and reads nothing.
fn deaf(addr: SocketAddr) -> TcpStream {
    let mut stream = call(addr);
    stream.set_nonblocking(true).expect("a mode");
    let line = format!("{}\n", "a line that nobody will read the answer of, ".repeat(50));
    let talk = line.repeat(20).into_bytes();
    let (mut since, mut sent) = (Instant::now(), 0);
    while since.elapsed() < STUCK && sent < MOST {
        match stream.write(&talk) {
            Ok(n) => (since, sent) = (Instant::now(), sent + n),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5));
            }
            // Some services have had enough of it sooner.
            Err(_) => break,
        }
    }
    stream
}

fn deaf_callers_cost_little(line: &str) {
    const CALLERS: u64 = 12;
    let server = sockit("tcp-server -q --print-port").and(line).serve();
    drop(deaf(server.addr()));
    let before = own_memory(server.pid());
    let addr = server.addr();
    let callers: Vec<_> = (0..CALLERS).map(|_| std::thread::spawn(move || deaf(addr))).collect();
    let callers: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
    let each = own_memory(server.pid()).saturating_sub(before) / CALLERS;
    assert!(each <= PER_CALLER, "{line}: {each} KiB for each of {} callers", callers.len());
}

#[test]
fn a_caller_that_never_reads_costs_a_server_a_mebibyte_at_most() {
    let big = tempfile::NamedTempFile::new().unwrap();
    big.as_file().set_len(1 << 30).unwrap();
    for line in ["echo", "hello", "chargen", "time", "chat"] {
        deaf_callers_cost_little(&format!("--service {line}"));
    }
    deaf_callers_cost_little(&format!("--file {}", big.path().display()));
    deaf_callers_cost_little("--exec cat");
}

#[cfg(feature = "tls")]
#[test]
fn the_same_under_tls_and_before_its_handshake() {
    deaf_callers_cost_little("--tls --service echo");
    const CALLERS: u64 = 6;
    let server = sockit("tcp-server -q --print-port --tls --service echo").serve();
    let deaf_client = || {
        let stuck = std::io::pipe().expect("a pipe that nobody reads");
        let client = sockit("tcp-client -q --tls --insecure").to(server.addr());
        let zeros = File::open("/dev/zero").unwrap();
        (client.stdin_from(zeros).stdout_to(stuck.1).start(), stuck.0)
    };
    let mut clients = vec![deaf_client()];
    settle(clients[0].0.pid());
    let before = own_memory(server.pid());
    clients.extend((0..CALLERS).map(|_| deaf_client()));
    clients.iter().for_each(|(client, _)| settle(client.pid()));
    let each = own_memory(server.pid()).saturating_sub(before) / CALLERS;
    assert!(each <= PER_CALLER, "{each} KiB for each TLS caller");
    for (client, _) in &clients {
        let peak = peak_memory(client.pid());
        assert!(peak <= CLIENT, "a TLS client's peak was {peak} KiB");
    }
}

/// Waits until a process has stopped working.
fn settle(pid: u32) {
    let (mut used, mut since) = (crate::support::proc_stats::cpu_time(pid), Instant::now());
    let until = Instant::now() + Duration::from_secs(20);
    while since.elapsed() < 2 * STUCK && Instant::now() < until {
        std::thread::sleep(STUCK / 6);
        if crate::support::proc_stats::cpu_time(pid) > used {
            (used, since) = (crate::support::proc_stats::cpu_time(pid), Instant::now());
        }
    }
}

/// The client's peak once it has nothing more to do, and then its end.
fn peak(client: Running) -> u64 {
    settle(client.pid());
    let peak = peak_memory(client.pid());
    client.signal(libc::SIGKILL);
    let run = client.wait();
    assert!(peak > 0, "it left: {} {}", run.code, run.stderr);
    peak
}

#[test]
fn a_peer_that_never_reads_costs_a_client_little() {
    let server = peer(|mut stream| stream.outlive());
    let zeros = File::open("/dev/zero").unwrap();
    let peak = peak(sockit("tcp-client -q").to(server.addr()).stdin_from(zeros).start());
    assert!(peak <= CLIENT, "{peak} KiB");
}

#[test]
fn a_peer_that_never_stops_costs_a_client_little() {
    let server = sockit("tcp-server -q --print-port --service chargen").serve();
    for line in ["tcp-client -q", "tcp-client -q --hex /dev/null", "tcp-client -q --expect never"] {
        let (_stuck, stdout) = std::io::pipe().unwrap();
        let client = sockit(line).to(server.addr()).stdin_open().stdout_to(stdout);
        let peak = peak(client.start());
        assert!(peak <= CLIENT, "{line}: {peak} KiB");
    }
}

#[test]
fn a_long_list_and_a_stuck_reader_cost_resolve_little() {
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), "127.0.0.1\n:http\nlocalhost\n".repeat(100_000)).unwrap();
    let (_stuck, stdout) = std::io::pipe().unwrap();
    let client = sockit("resolve -q -f").arg(list.path()).stdout_to(stdout);
    let peak = peak(client.start());
    assert!(peak <= CLIENT, "{peak} KiB");
}

/// Gives `answer` to a request and stays; tells the client's peak.
#[cfg(feature = "http")]
fn fetched(head: &'static str, body: Vec<u8>) -> u64 {
    let server = peer(move |mut stream| {
        stream.say(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n"));
        let _ = stream.write_all(&body);
        stream.outlive()
    });
    let null = File::create("/dev/null").unwrap();
    let url = format!("http://{}/", server.addr());
    peak(sockit("http-get -q").arg(url).stdout_to(null).start())
}

#[cfg(feature = "http")]
#[test]
fn hostile_answers_cost_http_get_little() {
    let endless = fetched("Content-Length: 99999999", vec![0; 50 << 20]);
    assert!(endless <= CLIENT, "{endless} KiB");
    let peak = fetched("Content-Encoding: zstd", zstd(400));
    assert!(peak <= HTTP_GET, "zstd: {peak} KiB");
}

/// A frame (RFC 8878 §3.1.1) with a window of 8 MiB and so many blocks of 128 KiB of one byte,
/// without an end.
#[cfg(feature = "http")]
fn zstd(blocks: usize) -> Vec<u8> {
    let mut frame = b"\x28\xb5\x2f\xfd\x00\x68".to_vec();
    (0..blocks).for_each(|_| frame.extend(b"\x02\x00\x10x"));
    frame
}
