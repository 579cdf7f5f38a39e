//! Waiting: the system calls that it takes, counted by strace(1). On a busy machine they are fewer,
//! never more.

use std::net::TcpStream;

use crate::support::peer::{self, Script, connect, peer};
use crate::support::sockit::{Run, Sockit, sockit};
use crate::support::strace::{can_trace, count_calls, logged};

/// By how many calls two equal runs may differ.
const TOLERANCE: usize = 40;
/// The limit of a run of three seconds that does not spin.
const MAX_CALLS: usize = 5000;

/// Runs `line` under strace until its timeout; returns the number of its system calls.
fn calls(line: &str, run: impl FnOnce(Sockit) -> Run) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("calls");
    run(logged(sockit(line), &log)).exits(28);
    count_calls(&log).values().sum()
}

/// Checks that three more seconds take no more calls.
fn assert_idle(line: &str, run: impl Fn(Sockit) -> Run) {
    let [short, long] = ["2s", "5s"].map(|time| calls(&format!("{line} --timeout {time}"), &run));
    assert!(long <= short + TOLERANCE, "{line}: {short} calls in 2 s, {long} in 5 s");
}

fn with_ten_clients(server: Sockit) -> Run {
    let server = server.serve();
    let clients: Vec<TcpStream> = (0..10).map(|_| connect(server.addr())).collect();
    let run = server.wait();
    drop(clients);
    run
}

#[test]
fn idle_client_makes_no_system_calls() {
    if !can_trace() {
        return;
    }
    assert_idle("tcp-client", |client| {
        client.to(peer::does_nothing().addr()).stdin_open().start().wait()
    });
    assert_idle("tcp-client", |client| {
        let half_closed = peer(|mut stream| {
            stream.half_close();
            stream.wait_for_close()
        });
        client.to(half_closed.addr()).stdin_open().start().wait()
    });
}

#[test]
fn idle_server_makes_no_system_calls() {
    if !can_trace() {
        return;
    }
    for service in ["echo", "hello"] {
        assert_idle(&format!("tcp-server --service {service}"), with_ten_clients);
    }
    for line in ["udp-echo", "udp-server"] {
        assert_idle(line, |server| server.serve().wait());
    }
}

/// No event reports that the peer's kernel has acknowledged data: the client has to check it.
#[test]
fn client_with_undelivered_data_does_not_spin() {
    if !can_trace() {
        return;
    }
    // Less than both socket buffers hold, more than the peer's alone.
    let input = vec![b'x'; 150_000];
    let count = calls("tcp-client --timeout 3s", |client| {
        let nonreader = peer(|mut stream| {
            stream.half_close();
            stream.wait_for_close()
        });
        client.to(nonreader.addr()).stdin(input).run()
    });
    assert!(count < MAX_CALLS, "{count} calls in 3 s");
}

#[test]
fn server_without_descriptors_does_not_spin() {
    if !can_trace() || peer::program("prlimit").is_none() {
        return;
    }
    let count = calls("tcp-server --timeout 3s", |server| {
        let server = server.under(["prlimit", "--nofile=40"]).serve();
        let clients: Vec<TcpStream> = (0..80).map(|_| connect(server.addr())).collect();
        let run = server.wait();
        drop(clients);
        run
    });
    assert!(count < MAX_CALLS, "{count} calls in 3 s");
}
