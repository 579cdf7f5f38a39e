//! Malformed targets and flags: usage errors before anything is sent.

use super::{lines, listener};
use crate::support::peer;
use crate::support::sockit::sockit;

#[test]
fn malformed_target_exits_2_before_anything_is_sent() {
    let (listener, open) = listener();
    listener.set_nonblocking(true).unwrap();
    for word in [
        "db:0",
        "db:0-5",
        "db:80-22",
        "db:70000",
        "db:",
        "db:22,,80",
        "db:22,",
        "db:,",
        "db",
        "80",
        "''",
        "::1",
        "udp:53",
        "unix:",
        "http://db:80/",
        "db:1-65535,1,2",
    ] {
        let run = sockit(&format!("check {open} {word}")).run();
        run.exits(2).prints("");
        assert!(run.stderr.starts_with("sockit: "), "{word}: {}", run.stderr);
    }
    let accepted = listener.accept().map_err(|e| e.kind());
    assert_eq!(accepted.unwrap_err(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn unknown_service_exits_6() {
    sockit("check localhost:no-such-service").run().exits(6).prints("").fails_at("port");
}

#[test]
fn no_target_exits_2_with_a_hint() {
    sockit("check").run().exits(2).prints("").logs("hint: ");
    sockit("check localhost 80").run().exits(2).logs("hint: a target is HOST:PORT");
}

#[test]
fn flags_that_do_not_apply_exit_2() {
    for line in [
        "--ca-file f db:80",
        "--tls unix:/s",
        "--tls udp:db:53",
        "--proxy socks5://p:1 udp:db:53",
        "--interval 1s db:80",
        "--count 3 --wait 3s db:80",
        "--count 3 --until closed db:80",
        "--count 1000000 db:80,81",
        "--count 0 db:80",
        "--jobs 0 db:80",
        "--jobs 1025 db:80",
        "--until ajar db:80",
        "--wait soon db:80",
    ] {
        sockit("check").and(line).run().exits(2).prints("").logs("sockit: ");
    }
}

#[test]
fn lists_ranges_and_services_are_one_target_per_port() {
    let run = sockit("check 127.0.0.1:1,3-5,tcpmux udp:127.0.0.1:1").run();
    let targets: Vec<_> = lines(&run);
    let targets: Vec<_> = targets.iter().filter_map(|line| line.split(' ').next()).collect();
    let ports = [1, 3, 4, 5, 1].map(|port| format!("127.0.0.1:{port}"));
    assert_eq!(targets[..5], ports);
    assert_eq!(targets[5], "udp:127.0.0.1:1");
}

#[test]
fn ipv6_target_has_brackets() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else {
        eprintln!("skipped: this machine has no IPv6");
        return;
    };
    let address = listener.local_addr().unwrap();
    let run = sockit(&format!("check {address}")).run();
    assert_eq!(lines(run.exits(0)), [format!("{address} open N ms")]);
    sockit(&format!("check -4 {address}")).run().exits(6);
}

#[test]
fn socket_options_and_local_address_are_used() {
    let server = sockit("tcp-server").serve();
    let from = peer::free_port();
    let line = format!("check --source 127.0.0.2:{from} --ttl 7 localhost:{}", server.port());
    sockit(&line).run().exits(0).logs_nothing();
    server.wait_for_log(&format!("127.0.0.2:{from}"));
}
