//! Many concurrent clients, limits of their number, and access rules.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::peer::{self, Script, connect};
use crate::support::proc_stats::{descriptors, resident, threads};
use crate::support::sockit::{LIMIT, sockit};
use crate::support::wait_until;

#[test]
fn two_hundred_concurrent_clients_are_served() {
    let server = sockit("tcp-server").serve();
    let mut clients: Vec<_> = (0..200).map(|_| connect(server.addr())).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.expect_bytes("Welcome!");
        client.send(format!("client {n}"));
    }
    for (n, client) in clients.iter_mut().enumerate() {
        client.expect_bytes(format!("Hello, client {n}!"));
        client.send("exit");
    }
    for client in &mut clients {
        assert_eq!(client.read_all(), b"");
    }
    server.stop().exits(0);
}

#[test]
fn threads_and_descriptors_are_released() {
    let server = sockit("tcp-server").serve();
    connect(server.addr()).expect_bytes("Welcome!");
    wait_until("the first client has closed", || threads(server.pid()) <= idle_threads());
    let (threads_before, fds_before) = (threads(server.pid()), descriptors(server.pid()));
    let mut clients: Vec<_> = (0..300).map(|_| connect(server.addr())).collect();
    clients.iter_mut().for_each(|client| client.expect_bytes("Welcome!"));
    let each = resident(server.pid()) / clients.len() as u64;
    // The memory of the process divided by the number of clients, in a debug build.
    assert!(each <= 96, "{each} KiB per client");
    drop(clients);
    wait_until("threads are back", || threads(server.pid()) <= threads_before);
    wait_until("descriptors are back", || descriptors(server.pid()) <= fds_before);
}

/// The accepting thread, the log's writer and some spare ones.
fn idle_threads() -> usize {
    6
}

#[test]
fn five_hundred_resets_leave_the_server_running() {
    let mut server = sockit("tcp-server").serve();
    for _ in 0..500 {
        connect(server.addr()).reset();
    }
    connect(server.addr()).expect_bytes("Welcome!");
    assert!(server.is_alive());
    server.stop().exits(0).never_logs("internal error");
}

#[test]
fn exhausted_descriptors_leave_the_server_running() {
    let Some(_) = peer::program("prlimit") else { return };
    let server = sockit("tcp-server").under(["prlimit", "--nofile=40"]).serve();
    let clients: Vec<_> = (0..80).map(|_| connect(server.addr())).collect();
    let mut server = server;
    expect_greeting(&clients[0]);
    assert!(server.is_alive());
    drop(clients);
    connect(server.addr()).expect_bytes("Welcome!");
    let run = server.stop();
    run.exits(0).never_logs("internal error");
}

fn expect_greeting(client: &TcpStream) {
    let mut client = client.try_clone().unwrap();
    client.expect_bytes("Welcome!");
}

#[test]
fn max_conns_queues_in_backlog() {
    let server = sockit("tcp-server --max-conns 2").serve();
    let mut first = connect(server.addr());
    let mut second = connect(server.addr());
    first.expect_bytes("Welcome!");
    second.expect_bytes("Welcome!");
    let mut third = connect(server.addr());
    third.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let kept_waiting = std::io::Read::read(&mut third, &mut [0; 8]);
    assert!(kept_waiting.is_err(), "the third is not greeted yet: {kept_waiting:?}");
    third.set_read_timeout(Some(LIMIT)).unwrap();
    drop(first);
    third.expect_bytes("Welcome!");
}

#[test]
fn max_conns_per_ip_closes_further_connections() {
    let server = sockit("tcp-server --max-conns-per-ip 2").serve();
    let mut first = connect(server.addr());
    let mut second = connect(server.addr());
    first.expect_bytes("Welcome!");
    second.expect_bytes("Welcome!");
    let closed = std::io::Read::read(&mut connect(server.addr()), &mut [0; 8]);
    assert!(matches!(closed, Ok(0) | Err(_)), "the third is closed: {closed:?}");
    let mut elsewhere = connect_from("127.0.0.2:0", server.addr());
    elsewhere.expect_bytes("Welcome!");
    drop(first);
    wait_until("the place is free again", || {
        let mut again = connect(server.addr());
        std::io::Read::read(&mut again, &mut [0; 8]).is_ok_and(|n| n > 0)
    });
}

fn connect_from(source: &str, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&source.parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

#[test]
fn allow_and_deny_select_clients() {
    let greets = |rules: &str| {
        let server = sockit("tcp-server").and(rules).serve();
        let answer = std::io::Read::read(&mut connect(server.addr()), &mut [0; 8]);
        answer.is_ok_and(|n| n > 0)
    };
    assert!(greets("--allow 127.0.0.0/8"));
    assert!(greets("--allow 127.0.0.1"));
    assert!(greets("--allow 127.0.0.1 --deny 127.0.0.0/8"), "allow wins");
    assert!(greets("--deny 10.0.0.0/8"));
    assert!(!greets("--deny 127.0.0.1"));
    assert!(!greets("--deny 127.0.0.0/8"));
    assert!(!greets("--allow 10.0.0.0/8"), "with any --allow the rest is denied");
    assert!(!greets("--allow @/dev/null"), "the list is empty");
    assert!(greets("--deny @/dev/null"));
    assert!(greets("--host '' --allow 127.0.0.0/8"), "v4-mapped is v4");
    assert!(!greets("--host '' --deny 127.0.0.0/8"), "v4-mapped is v4");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules");
    std::fs::write(&file, "# who may\n127.0.0.1\n\n10.0.0.0/8\n").unwrap();
    assert!(greets(&format!("--allow @{}", file.display())));
    assert!(!greets(&format!("--deny @{}", file.display())));
}

#[test]
fn max_accepts_counts_clients() {
    let server = sockit("tcp-server --max-accepts 3").serve();
    for _ in 0..3 {
        let mut client = connect(server.addr());
        client.expect_bytes("Welcome!");
        client.send("exit");
        assert_eq!(client.read_all(), b"");
    }
    server.wait().exits(0);
}

#[test]
fn denied_clients_do_not_count() {
    let server = sockit("tcp-server --once --deny 127.0.0.2").serve();
    for _ in 0..3 {
        let end = std::io::Read::read(&mut connect_from("127.0.0.2:0", server.addr()), &mut [0; 8]);
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
    let mut client = connect(server.addr());
    client.expect_bytes("Welcome!");
    client.send("exit");
    assert_eq!(client.read_all(), b"");
    server.wait().exits(0);
}
