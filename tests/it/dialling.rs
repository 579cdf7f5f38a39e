//! How tcp-client comes to its connection: which address, in which order, with which options.

use std::net::TcpListener;
use std::time::Duration;

use crate::namespace::Namespace;
use crate::peer::{self, Script};
use crate::sockit::sockit;

#[test]
fn a_silent_address_is_overtaken_by_the_next() {
    let listener = TcpListener::bind("127.0.0.6:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = peer::Unanswering::on(([127, 0, 0, 5], port).into());
    let echo = peer::peer_on(listener, |mut stream| {
        stream.hear("hi");
        stream.say("hi");
    });
    let world = Namespace::new()
        .on_our_network()
        .nsswitch("hosts: files")
        .etc("hosts", "127.0.0.5 two\n127.0.0.6 two");
    let Some(run) = world.run(&format!("tcp-client -v two {port} --send hi")) else {
        return;
    };
    run.exits(0).prints("hi\n").says(&format!("Connected to {}", echo.addr()));
    run.says(&silent.addr().to_string());
    // RFC 8305 §5: the next attempt begins 250 ms after the last, not after its failure.
    assert!(run.took < Duration::from_secs(2), "{:?}", run.took);
}

#[test]
fn a_refusing_address_gives_way_to_the_next_at_once() {
    let echo = peer::echoes();
    let port = echo.addr().port();
    let world = Namespace::new()
        .on_our_network()
        .nsswitch("hosts: files")
        .etc("hosts", "127.0.0.77 two\n127.0.0.1 two");
    let Some(run) = world.run(&format!("tcp-client two {port}")) else { return };
    run.exits(0).is_silent();
    echo.outcome();
}

#[test]
fn of_several_failures_the_first_is_told_and_each_under_v() {
    let nobody = peer::Refusing::new();
    let port = nobody.addr().port();
    let world = Namespace::new()
        .on_our_network()
        .nsswitch("hosts: files")
        .etc("hosts", "127.0.0.1 two\n127.0.0.77 two");
    let Some(run) = world.run(&format!("tcp-client -v two {port}")) else { return };
    run.exits(7).fails_at("connect").says("Connection refused");
    run.says(&format!("127.0.0.1:{port}")).says(&format!("127.0.0.77:{port}"));
}

#[test]
fn the_lookup_counts_against_the_connect_limit_of_the_whole_run() {
    let silent = peer::Unanswering::on(([127, 0, 0, 1], 0).into());
    let run = sockit("tcp-client --timeout 300ms").to(silent.addr()).run();
    run.exits(28).fails_at("connect");
    assert!(run.took < Duration::from_secs(2), "{:?}", run.took);
}

/// Runs `line` under strace and gives the calls it made of these.
fn traced(line: &str, calls: &str) -> Option<String> {
    peer::program("strace")?;
    let echo = peer::echoes();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("trace");
    let trace = format!("trace={calls}");
    let strace = ["strace", "-f", "-qq", "-e", &trace, "-o", log.to_str().unwrap()];
    let run = sockit("tcp-client").and(line).to(echo.addr()).under(strace).stdin("x").run();
    run.exits(0).prints("x");
    std::fs::read_to_string(&log).ok()
}

#[test]
fn socket_options_reach_the_kernel() {
    let options = [
        ("--nodelay", "TCP_NODELAY, [1]"),
        ("--keepalive", "SO_KEEPALIVE, [1]"),
        ("--ttl 7", "IP_TTL, [7]"),
        ("--tos 16", "IP_TOS, [16]"),
        ("--send-buffer 64Ki", "SO_SNDBUF, [65536]"),
        ("--recv-buffer 32Ki", "SO_RCVBUF, [32768]"),
        ("--interface lo", "SO_BINDTODEVICE, \"lo"),
    ];
    for (flags, option) in options {
        let Some(calls) = traced(flags, "setsockopt") else { return };
        assert!(calls.contains(option), "{flags} sets no {option}:\n{calls}");
    }
}

#[test]
fn a_server_shares_its_port_when_asked_to() {
    let first = sockit("tcp-server --reuse-port").serve();
    let second = sockit(&format!("tcp-server --reuse-port --port {}", first.port())).serve();
    assert_eq!(first.port(), second.port());
}
