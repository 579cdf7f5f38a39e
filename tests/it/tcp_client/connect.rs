//! How tcp-client connects: which address, in which order, with which options.

use std::net::TcpListener;

use crate::support::namespace::Namespace;
use crate::support::peer::{self, Script};
use crate::support::sockit::sockit;

#[test]
fn silent_address_is_overtaken_by_the_next() {
    let listener = TcpListener::bind("127.0.0.6:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = peer::Unanswering::on(([127, 0, 0, 5], port).into());
    let echo = peer::peer_on(listener, |mut stream| {
        stream.expect_bytes("hi");
        stream.send("hi");
    });
    let namespace = Namespace::new()
        .with_host_network()
        .nsswitch("hosts: files")
        .etc("hosts", "127.0.0.5 two\n127.0.0.6 two");
    // RFC 8305 §5: the next attempt begins 250 ms after the previous one, not after its failure.
    let line = format!("tcp-client -v --connect-timeout 1m two {port} --send hi");
    let Some(run) = namespace.run(&line) else { return };
    run.exits(0).prints("hi\n").logs(&format!("Connected to {}", echo.addr()));
    run.logs(&silent.addr().to_string());
}

#[test]
fn refusing_address_is_followed_by_the_next() {
    let echo = peer::echoes();
    let port = echo.addr().port();
    let namespace = Namespace::new()
        .with_host_network()
        .nsswitch("hosts: files")
        .etc("hosts", "127.0.0.77 two\n127.0.0.1 two");
    let Some(run) = namespace.run(&format!("tcp-client --half-close two {port}")) else { return };
    run.exits(0).logs_nothing();
    echo.outcome();
}

#[test]
fn first_of_several_failures_is_reported() {
    let refusing = peer::Refusing::new();
    let port = refusing.addr().port();
    let namespace = Namespace::new()
        .with_host_network()
        .nsswitch("hosts: files")
        .etc("hosts", "127.0.0.1 two\n127.0.0.77 two");
    let Some(run) = namespace.run(&format!("tcp-client -v two {port}")) else { return };
    run.exits(7).fails_at("connect").logs("Connection refused");
    run.logs(&format!("127.0.0.1:{port}")).logs(&format!("127.0.0.77:{port}"));
}

#[test]
fn timeout_of_the_run_ends_the_connect() {
    let silent = peer::Unanswering::on(([127, 0, 0, 1], 0).into());
    let run = sockit("tcp-client --timeout 300ms").to(silent.addr()).run();
    run.exits(28).fails_at("connect");
}

/// Runs `line` under strace and returns its calls of these names.
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
fn reuse_port_shares_a_port() {
    let first = sockit("tcp-server --reuse-port").serve();
    let second = sockit(&format!("tcp-server --reuse-port --port {}", first.port())).serve();
    assert_eq!(first.port(), second.port());
}

/// A namespace in which the file `hosts` is the only source of names.
fn hosts_only(hosts: &std::path::Path) -> Namespace {
    std::fs::write(hosts, "127.0.0.1 other\n").unwrap();
    let mount = format!("mount --bind '{}' /etc/hosts || exit 99", hosts.display());
    Namespace::new().with_host_network().nsswitch("hosts: files").before(&mount)
}

/// Command lines that look up the name `db`.
fn lookups(port: u16) -> Vec<String> {
    let udp = format!("udp-client -v --send hi --wait 10s db {port}");
    let mut lines = vec![format!("tcp-client -v --send hi db {port}"), udp];
    if cfg!(feature = "http") {
        lines.push(format!("http-get -v http://db:{port}/"));
    }
    lines
}

#[test]
fn absent_name_is_retried_until_it_appears() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    for line in lookups(peer::free_port()) {
        let namespace = hosts_only(&hosts);
        let Some(inside) = namespace.words() else { return };
        let client = sockit(&line).and("--retry 1000 --retry-delay 20ms").under(inside).start();
        client.wait_for_log("Trying again in 20ms (retry 2)");
        std::fs::write(&hosts, "127.0.0.1 db\n").unwrap();
        client.wait_for_log("Connection refused");
        client.signal(9);
    }
}

#[test]
fn absent_name_exits_6_after_last_retry() {
    let folder = tempfile::tempdir().unwrap();
    let namespace = hosts_only(&folder.path().join("hosts"));
    for line in lookups(9) {
        let Some(run) = namespace.run(&format!("{line} --retry 2 --retry-delay 10ms")) else {
            return;
        };
        run.exits(6).logs("(retry 2)").never_logs("(retry 3)");
        assert!(
            run.stderr.lines().last().is_some_and(|line| line.starts_with("sockit: resolve db:"))
        );
    }
}

#[test]
fn link_local_address_without_zone_gets_hint() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    for (line, code, phase) in [
        ("tcp-client fe80::1 9", 7, "connect"),
        ("udp-client --send x fe80::1 9", 7, "connect"),
        ("tcp-client --source fe80::1 ::1 9", 45, "bind"),
        ("tcp-server --host fe80::1 --port 0", 45, "bind"),
        ("udp-echo --host fe80::1 --port 0", 45, "bind"),
    ] {
        let run = sockit(line).run();
        run.exits(code).fails_at(phase).logs("hint: a link-local address needs its interface");
    }
}
