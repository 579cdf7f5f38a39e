//! `sockit tcp-server`: what it says, whom it takes, and how it stops.

use std::time::{Duration, Instant};

use crate::support::peer::{Script, call};
use crate::support::sockit::sockit;

#[test]
fn it_greets_and_tells_one_line_per_step() {
    let server = sockit("tcp-server").serve();
    let mut caller = call(server.addr());
    let us = caller.local_addr().unwrap();
    caller.hear("Welcome!");
    caller.say("Michael");
    caller.hear("Hello, Michael!");
    caller.say("exit");
    assert_eq!(caller.hear_all(), b"");
    server.wait_to_say(&format!("Connection from {us} closed."));
    let local = server.addr();
    let run = server.stop();
    run.exits(0).prints("");
    run.says(&format!("Waiting for connection on {local}..."));
    run.says(&format!("Accept new connection from {us}..."));
}

#[test]
fn print_port_tells_a_script_where_to_call() {
    let server = sockit("tcp-server --print-port").serve();
    server.wait_to_print(format!("{}\n", server.port()));
    server.stop().exits(0);
}

#[test]
fn once_serves_one_caller_and_leaves() {
    let server = sockit("tcp-server --service echo --once").serve();
    let mut caller = call(server.addr());
    caller.say("only");
    caller.finish();
    assert_eq!(caller.hear_all(), b"only");
    server.wait().exits(0);
}

#[test]
fn a_second_server_on_the_port_is_told_who_is_there() {
    let first = sockit("tcp-server").serve();
    let run = sockit(&format!("tcp-server --port {}", first.port())).run();
    run.exits(45).fails_at("bind").says("Address already in use").says("hint:");
}

#[test]
fn a_port_is_free_again_at_once() {
    let first = sockit("tcp-server").serve();
    let port = first.port();
    let mut caller = call(first.addr());
    caller.hear("Welcome!");
    first.stop();
    // The connection is now in TIME_WAIT on the server's side.
    assert_eq!(caller.hear_all(), b"");
    let second = sockit(&format!("tcp-server --port {port}")).serve();
    call(second.addr()).hear("Welcome!");
}

#[test]
fn every_interface_means_both_families() {
    for host in ["''", "'*'", "::"] {
        let server = sockit(&format!("tcp-server --host {host}")).serve();
        call(server.addr()).hear("Welcome!");
        if std::net::TcpListener::bind("[::1]:0").is_ok() {
            call(([0, 0, 0, 0, 0, 0, 0, 1], server.port()).into()).hear("Welcome!");
        }
    }
}

#[test]
fn one_family_alone_when_asked_for() {
    let server = sockit("tcp-server -4 --host ''").serve();
    call(server.addr()).hear("Welcome!");
    let six = std::net::TcpStream::connect((std::net::Ipv6Addr::LOCALHOST, server.port()));
    assert!(six.is_err(), "-4 listens on IPv4 alone");
}

#[test]
fn nobody_calls_in_time() {
    let began = Instant::now();
    let run = sockit("tcp-server --port 0 --accept-timeout 300ms").run();
    run.exits(28).fails_at("listen");
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[test]
fn nobody_calls_in_time_while_there_are_no_descriptors_either() {
    // As few as it starts with.
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
fn the_accept_limit_starts_anew_with_each_caller() {
    let server = sockit("tcp-server --accept-timeout 700ms").serve();
    for _ in 0..3 {
        let mut caller = call(server.addr());
        caller.hear("Welcome!");
    }
    server.wait().exits(28);
}

#[test]
fn whoever_is_in_is_served_though_nobody_else_calls_in_time() {
    let server = sockit("tcp-server --delay 600ms --accept-timeout 200ms").serve();
    let mut caller = call(server.addr());
    caller.hear("Welcome!");
    caller.say("late");
    caller.hear("Hello, late!");
    drop(caller);
    server.wait().exits(28).fails_at("listen");
}

#[test]
fn a_closed_connection_is_told_with_its_bytes() {
    let server = sockit("tcp-server --service echo --once").serve();
    let mut caller = call(server.addr());
    caller.say("1234567");
    caller.finish();
    assert_eq!(caller.hear_all(), b"1234567");
    let run = server.wait();
    let line = run.stderr.lines().find(|l| l.contains(" closed.")).expect("a closing line");
    assert!(line.matches('7').count() >= 2, "bytes in and out: {line}");
}
