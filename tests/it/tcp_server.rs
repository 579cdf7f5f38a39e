//! `sockit tcp-server`: what it says, whom it takes, and how it stops.

use std::time::Duration;

use crate::peer::{self, Script, call};
use crate::sockit::sockit;

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
fn a_client_that_dies_costs_only_itself() {
    let mut server = sockit("tcp-server --service echo").serve();
    for _ in 0..500 {
        call(server.addr()).reset();
    }
    let mut caller = call(server.addr());
    caller.say("still here?");
    caller.hear("still here?");
    assert!(server.is_alive());
    drop(caller);
    server.stop().exits(0);
}

#[test]
fn a_full_house_makes_callers_wait() {
    let server = sockit("tcp-server --max-conns 2").serve();
    let mut first = call(server.addr());
    let mut second = call(server.addr());
    first.hear("Welcome!");
    second.hear("Welcome!");
    let mut third = call(server.addr());
    third.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let kept_waiting = std::io::Read::read(&mut third, &mut [0; 8]);
    assert!(kept_waiting.is_err(), "nobody greets the third yet: {kept_waiting:?}");
    third.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    drop(first);
    third.hear("Welcome!");
}

#[test]
fn nc_reads_our_greeting() {
    let Some(mut nc) = peer::program("nc.openbsd") else { return };
    let server = sockit("tcp-server").serve();
    nc.arg("-N").arg("127.0.0.1").arg(server.port().to_string());
    nc.stdin(std::process::Stdio::null());
    assert_eq!(nc.output().unwrap().stdout, b"Welcome!");
}

#[test]
fn ncat_is_a_peer_too() {
    let Some(mut ncat) = peer::program("ncat") else { return };
    let port = peer::free_port();
    let mut ncat =
        ncat.args(["-l", "127.0.0.1", &port.to_string(), "-e", "/bin/cat"]).spawn().unwrap();
    peer::wait_for_listener(port);
    let client = sockit(&format!("tcp-client 127.0.0.1 {port}")).stdin("echo").run();
    client.exits(0).prints("echo");
    ncat.wait().unwrap();
}
