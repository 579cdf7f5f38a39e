//! Memory that a hostile peer can allocate by neither reading nor closing.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::peer::{Script, connect, peer};
use crate::support::proc_stats::{own_memory, peak_memory};
use crate::support::process::Process;
use crate::support::sockit::{LIMIT, sockit};

/// KiB of a server per client that never reads.
const MAX_PER_CLIENT: u64 = 1 << 10;
/// KiB of any client.
const MAX_CLIENT: u64 = 16 << 10;
/// KiB of http-get with a hostile response, including the window of a decoder.
#[cfg(feature = "http")]
const MAX_HTTP_GET: u64 = 32 << 10;
/// Bytes that one client sends at most, where the server reads all of it.
const MAX_SENT: usize = 24 << 20;
/// How long no byte moves before a connection counts as stalled.
const STALL_TIME: Duration = Duration::from_millis(300);

/// Connects and sends without reading until the connection has stalled.
fn connect_and_never_read(addr: SocketAddr) -> TcpStream {
    let mut stream = connect(addr);
    stream.set_nonblocking(true).expect("a mode");
    let line = format!("{}\n", "a line whose answer is not read, ".repeat(50));
    let data = line.repeat(20).into_bytes();
    let (mut since, mut sent) = (Instant::now(), 0);
    while since.elapsed() < STALL_TIME && sent < MAX_SENT {
        match stream.write(&data) {
            Ok(n) => (since, sent) = (Instant::now(), sent + n),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5));
            }
            // Some services close earlier.
            Err(_) => break,
        }
    }
    stream
}

fn clients_that_never_read_take_little(line: &str) {
    const CLIENTS: u64 = 12;
    let server = sockit("tcp-server -q --print-port").and(line).serve();
    drop(connect_and_never_read(server.addr()));
    let before = own_memory(server.pid());
    let addr = server.addr();
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| std::thread::spawn(move || connect_and_never_read(addr))).collect();
    let clients: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let each = own_memory(server.pid()).saturating_sub(before) / CLIENTS;
    assert!(each <= MAX_PER_CLIENT, "{line}: {each} KiB for each of {} clients", clients.len());
}

#[test]
fn client_that_never_reads_takes_one_mebibyte_of_the_server() {
    let big = tempfile::NamedTempFile::new().unwrap();
    big.as_file().set_len(1 << 30).unwrap();
    for line in ["echo", "hello", "chargen", "time", "chat"] {
        clients_that_never_read_take_little(&format!("--service {line}"));
    }
    clients_that_never_read_take_little(&format!("--file {}", big.path().display()));
    clients_that_never_read_take_little("--exec cat");
}

#[cfg(feature = "tls")]
#[test]
fn tls_client_that_never_reads_takes_one_mebibyte_of_the_server() {
    clients_that_never_read_take_little("--tls --service echo");
    const CLIENTS: u64 = 6;
    let server = sockit("tcp-server -q --print-port --tls --service echo").serve();
    let client_that_never_reads = || {
        let unread = std::io::pipe().expect("a pipe that is not read");
        let client = sockit("tcp-client -q --tls --insecure").to(server.addr());
        let zeros = File::open("/dev/zero").unwrap();
        (client.stdin_from(zeros).stdout_to(unread.1).start(), unread.0)
    };
    let mut clients = vec![client_that_never_reads()];
    wait_until_idle(clients[0].0.pid());
    let before = own_memory(server.pid());
    clients.extend((0..CLIENTS).map(|_| client_that_never_reads()));
    clients.iter().for_each(|(client, _)| wait_until_idle(client.pid()));
    let each = own_memory(server.pid()).saturating_sub(before) / CLIENTS;
    assert!(each <= MAX_PER_CLIENT, "{each} KiB for each TLS client");
    for (client, _) in &clients {
        let peak = peak_memory(client.pid());
        assert!(peak <= MAX_CLIENT, "a TLS client's peak was {peak} KiB");
    }
}

/// Waits until a process uses no processor time.
fn wait_until_idle(pid: u32) {
    let (mut used, mut since) = (crate::support::proc_stats::cpu_time(pid), Instant::now());
    let until = Instant::now() + LIMIT;
    while since.elapsed() < 2 * STALL_TIME {
        assert!(Instant::now() < until, "the process is not idle");
        std::thread::sleep(STALL_TIME / 6);
        if crate::support::proc_stats::cpu_time(pid) > used {
            (used, since) = (crate::support::proc_stats::cpu_time(pid), Instant::now());
        }
    }
}

/// The peak memory of a client that has stalled; kills it.
fn peak(client: Process) -> u64 {
    wait_until_idle(client.pid());
    let peak = peak_memory(client.pid());
    client.signal(libc::SIGKILL);
    let run = client.wait();
    assert!(peak > 0, "it has exited: {} {}", run.code, run.stderr);
    peak
}

#[test]
fn peer_that_never_reads_takes_little_memory_of_the_client() {
    let server = peer(|mut stream| stream.wait_for_close());
    let zeros = File::open("/dev/zero").unwrap();
    let peak = peak(sockit("tcp-client -q").to(server.addr()).stdin_from(zeros).start());
    assert!(peak <= MAX_CLIENT, "{peak} KiB");
}

#[test]
fn peer_that_never_stops_takes_little_memory_of_the_client() {
    let server = sockit("tcp-server -q --print-port --service chargen").serve();
    for line in ["tcp-client -q", "tcp-client -q --hex /dev/null", "tcp-client -q --expect never"] {
        let (_reader, stdout) = std::io::pipe().unwrap();
        let client = sockit(line).to(server.addr()).stdin_open().stdout_to(stdout);
        let peak = peak(client.start());
        assert!(peak <= MAX_CLIENT, "{line}: {peak} KiB");
    }
}

#[test]
fn long_list_with_unread_stdout_takes_little_memory_of_resolve() {
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), "127.0.0.1\n:http\nlocalhost\n".repeat(100_000)).unwrap();
    let (_reader, stdout) = std::io::pipe().unwrap();
    let client = sockit("resolve -q -f").arg(list.path()).stdout_to(stdout);
    let peak = peak(client.start());
    assert!(peak <= MAX_CLIENT, "{peak} KiB");
}

/// Sends a response and keeps the connection open; returns the client's peak memory.
#[cfg(feature = "http")]
fn peak_of_http_get(head: &'static str, body: Vec<u8>) -> u64 {
    let server = peer(move |mut stream| {
        stream.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n"));
        let _ = stream.write_all(&body);
        stream.wait_for_close()
    });
    let null = File::create("/dev/null").unwrap();
    let url = format!("http://{}/", server.addr());
    peak(sockit("http-get -q").arg(url).stdout_to(null).start())
}

#[cfg(feature = "http")]
#[test]
fn hostile_response_takes_little_memory_of_http_get() {
    let endless = peak_of_http_get("Content-Length: 99999999", vec![0; 50 << 20]);
    assert!(endless <= MAX_CLIENT, "{endless} KiB");
    let peak = peak_of_http_get("Content-Encoding: zstd", zstd(400));
    assert!(peak <= MAX_HTTP_GET, "zstd: {peak} KiB");
}

/// A frame (RFC 8878 §3.1.1) with a window of 8 MiB and this many blocks of 128 KiB of one byte,
/// without an end.
#[cfg(feature = "http")]
fn zstd(blocks: usize) -> Vec<u8> {
    let mut frame = b"\x28\xb5\x2f\xfd\x00\x68".to_vec();
    (0..blocks).for_each(|_| frame.extend(b"\x02\x00\x10x"));
    frame
}
