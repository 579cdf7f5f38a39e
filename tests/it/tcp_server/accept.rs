//! tcp-server: its log, listening, accepting and the accept timeout.

use std::time::{Duration, Instant};

use crate::support::peer::{Script, connect};
use crate::support::sockit::sockit;

#[test]
fn server_logs_one_line_per_step() {
    let server = sockit("tcp-server").serve();
    let mut client = connect(server.addr());
    let us = client.local_addr().unwrap();
    client.expect_bytes("Welcome!");
    client.send("Michael");
    client.expect_bytes("Hello, Michael!");
    client.send("exit");
    assert_eq!(client.read_all(), b"");
    server.wait_for_log(&format!("Connection from {us} closed."));
    let local = server.addr();
    let run = server.stop();
    run.exits(0).prints("");
    run.logs(&format!("Waiting for connection on {local}..."));
    run.logs(&format!("Accept new connection from {us}..."));
}

#[test]
fn print_port_prints_the_port() {
    let server = sockit("tcp-server --print-port").serve();
    server.wait_for_output(format!("{}\n", server.port()));
    server.stop().exits(0);
}

#[test]
fn once_serves_one_client_and_exits() {
    let server = sockit("tcp-server --service echo --once").serve();
    let mut client = connect(server.addr());
    client.send("only");
    client.half_close();
    assert_eq!(client.read_all(), b"only");
    server.wait().exits(0);
}

#[test]
fn port_in_use_exits_45() {
    let first = sockit("tcp-server").serve();
    let run = sockit(&format!("tcp-server --port {}", first.port())).run();
    run.exits(45).fails_at("bind").logs("Address already in use").logs("hint:");
}

#[test]
fn limit_of_zero_connections_is_usage_error() {
    for flag in ["--max-conns", "--max-accepts", "--max-conns-per-ip"] {
        let run = sockit("tcp-server --port 0").arg(flag).arg("0").run();
        run.exits(2).logs("0 is not in 1..");
    }
}

#[test]
fn port_in_time_wait_can_be_bound() {
    let first = sockit("tcp-server").serve();
    let port = first.port();
    let mut client = connect(first.addr());
    client.expect_bytes("Welcome!");
    first.stop();
    // The connection is in TIME_WAIT on the server's side.
    assert_eq!(client.read_all(), b"");
    let second = sockit(&format!("tcp-server --port {port}")).serve();
    connect(second.addr()).expect_bytes("Welcome!");
}

#[test]
fn wildcard_host_listens_on_both_families() {
    for host in ["''", "'*'", "::"] {
        let server = sockit(&format!("tcp-server --host {host}")).serve();
        connect(server.addr()).expect_bytes("Welcome!");
        if std::net::TcpListener::bind("[::1]:0").is_ok() {
            connect(([0, 0, 0, 0, 0, 0, 0, 1], server.port()).into()).expect_bytes("Welcome!");
        }
    }
}

#[test]
fn ipv4_flag_listens_on_ipv4_only() {
    let server = sockit("tcp-server -4 --host ''").serve();
    connect(server.addr()).expect_bytes("Welcome!");
    let six = std::net::TcpStream::connect((std::net::Ipv6Addr::LOCALHOST, server.port()));
    assert!(six.is_err(), "-4 listens on IPv4 alone");
}

#[test]
fn accept_timeout_exits_28() {
    let began = Instant::now();
    let run = sockit("tcp-server --port 0 --accept-timeout 300ms").run();
    run.exits(28).fails_at("listen");
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[test]
fn accept_timeout_without_descriptors_exits_28() {
    // The smallest number with which it starts.
    let none_left = (6..20).any(|most| {
        let limit = format!("--nofile={most}");
        let server = sockit("tcp-server --port 0 --accept-timeout 200ms");
        let run = server.under(["prlimit", &limit]).run();
        let began = run.stderr.contains("Waiting for");
        if began {
            run.exits(28).fails_at("listen");
        }
        began
    });
    assert!(none_left, "it starts with some number of descriptors");
}

#[test]
fn accept_timeout_restarts_with_each_client() {
    let server = sockit("tcp-server --accept-timeout 3s").serve();
    for _ in 0..3 {
        let mut client = connect(server.addr());
        client.expect_bytes("Welcome!");
    }
    server.wait().exits(28);
}

#[test]
fn accept_timeout_lets_connections_finish() {
    let server = sockit("tcp-server --delay 3s --accept-timeout 1500ms").serve();
    let mut client = connect(server.addr());
    client.expect_bytes("Welcome!");
    client.send("late");
    client.expect_bytes("Hello, late!");
    drop(client);
    server.wait().exits(28).fails_at("listen");
}

#[test]
fn closed_connection_is_logged_with_its_bytes() {
    let server = sockit("tcp-server --service echo --once").serve();
    let mut client = connect(server.addr());
    client.send("1234567");
    client.half_close();
    assert_eq!(client.read_all(), b"1234567");
    let run = server.wait();
    let line = run.stderr.lines().find(|l| l.contains(" closed.")).expect("a closing line");
    assert!(line.matches('7').count() >= 2, "bytes in and out: {line}");
}
