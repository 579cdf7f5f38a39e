//! `-v`: a line per step, in order, written once it is done.

use crate::support::peer::{self, Script, connect};
use crate::support::sockit::{Run, sockit};

/// Checks that lines with these beginnings are in the log, in this order.
#[track_caller]
fn logs_in_order(run: &Run, beginnings: &[&str]) {
    let mut lines = run.stderr.lines();
    for beginning in beginnings {
        let found = lines.any(|line| line.starts_with(beginning));
        assert!(found, "no {beginning:?} at its place in\n{}", run.stderr);
    }
}

#[test]
fn server_has_a_line_per_step() {
    let server = sockit("tcp-server -v --service echo --backlog 5 --once").serve();
    let mut client = connect(server.addr());
    client.send("hello");
    client.half_close();
    client.read_all();
    let run = server.wait();
    run.exits(0).never_logs("Landlock");
    logs_in_order(
        &run,
        &[
            "Creating socket (IPv4, TCP)... done.",
            "Setting SO_REUSEADDR... done.",
            "Binding to 127.0.0.1:0... done.",
            "Listening with a backlog of 5... done.",
            "Waiting for connection on 127.0.0.1:",
            "Accept new connection from 127.0.0.1:",
            "Half-closed: 127.0.0.1:",
            "Connection from 127.0.0.1:",
        ],
    );
    let accepted = run.stderr.lines().find(|line| line.starts_with("Accept")).unwrap();
    assert!(accepted.contains("... (socket "), "{accepted}");
}

#[test]
fn client_of_an_echo_server_has_few_lines_and_none_twice() {
    let echo = peer::echoes();
    let run = sockit("tcp-client -v").to(echo.addr()).stdin("hello").run();
    run.exits(0).prints("hello");
    let mut lines: Vec<&str> = run.stderr.lines().collect();
    assert!(lines.len() <= 12, "{}", run.stderr);
    run.never_logs("Looking up");
    logs_in_order(
        &run,
        &[
            "Creating socket (IPv4)... done.",
            "Connecting to 127.0.0.1:",
            "Connected from 127.0.0.1:",
            "Connected to 127.0.0.1:",
            "Half-closed: we send no more.",
            "Half-closed: the peer sends no more.",
            "Connection to 127.0.0.1:",
        ],
    );
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), run.stderr.lines().count(), "{}", run.stderr);
}

#[test]
fn only_names_are_looked_up() {
    let closed = peer::Refusing::new();
    let port = closed.addr().port().to_string();
    let run = sockit("tcp-client -4 -v localhost").arg(port).run();
    run.exits(7).logs("Looking up localhost... done: 127.0.0.1").never_logs("port number");
    let run = sockit("tcp-client -v --timeout 5s 127.0.0.1 http").run();
    run.logs("Looking up port number... done: 80").never_logs("Looking up 127");
}

#[test]
fn failed_lookup_is_logged_as_a_step() {
    let run = sockit("tcp-client -v nosuch.invalid 80").run();
    run.logs("Looking up nosuch.invalid... failed: ").fails_at("resolve");
    sockit("tcp-client nosuch.invalid 80").run().fails_at("resolve").never_logs("Looking up");
}

#[test]
fn delay_is_logged() {
    let echo = peer::echoes();
    let run = sockit("tcp-client -v --delay 20ms").to(echo.addr()).stdin("x").run();
    run.exits(0).logs("Waiting 20 ms before sending\n");
}

#[test]
fn source_address_has_its_steps() {
    let echo = peer::echoes();
    let run = sockit("tcp-client -v --source 127.0.0.1").to(echo.addr()).stdin("x").run();
    run.exits(0);
    let steps =
        ["Creating socket", "Setting SO_REUSEADDR", "Binding to 127.0.0.1:0", "Connecting to"];
    logs_in_order(&run, &steps);
}

#[test]
fn address_without_an_answer_has_its_line() {
    let silent = peer::Unanswering::on(([127, 0, 0, 1], 0).into());
    let run = sockit("tcp-client -v --connect-timeout 200ms").to(silent.addr()).run();
    run.exits(28).fails_at("connect");
    run.logs(&format!("\nConnecting to {}... timed out\n", silent.addr()));
    run.logs("\nreason: connect(2) has no result: ");
}

#[test]
fn failed_step_names_its_call_and_the_usual_cause() {
    let closed = peer::Refusing::new();
    let run = sockit("tcp-client -v").to(closed.addr()).run();
    run.exits(7).fails_at("connect").logs("\nreason: connect(2) failed with ECONNREFUSED: ");
    sockit("tcp-client").to(closed.addr()).run().exits(7).never_logs("reason");
    let run = sockit("tcp-client -v --json").to(closed.addr()).run();
    let reason = &run.events_named("error")[0]["reason"];
    assert!(reason.as_str().is_some_and(|text| text.starts_with("connect(2) ")), "{reason}");

    let port = closed.addr().port().to_string();
    let run = sockit("tcp-server -v --port").arg(port).run();
    run.exits(45).logs("\nreason: bind(2) failed with EADDRINUSE: ").logs("\nhint: ");
    let run = sockit("unix-client -v /no/such/socket").run();
    run.exits(7).logs("\nreason: connect(2) failed with ENOENT: ");
    let run = sockit("tcp-client -v 127.0.0.1 no-such-service").run();
    run.exits(6).logs("\nreason: getaddrinfo(3) failed: ");
}

#[test]
fn reset_by_the_peer_has_its_reason_on_a_server() {
    let server = sockit("tcp-server -v --service echo").serve();
    connect(server.addr()).reset();
    server.wait_for_log("recv(2) failed with ECONNRESET: ");
    server.stop();
}

#[test]
fn log_without_v_has_no_steps() {
    let server = sockit("tcp-server --service echo --once").serve();
    let run = sockit("tcp-client").to(server.addr()).stdin("hello").run();
    run.exits(0).prints("hello").logs_nothing();
    let run = server.wait();
    let beginnings: Vec<_> = run.stderr.lines().map(|line| line.split(' ').next()).collect();
    assert_eq!(beginnings, [Some("Waiting"), Some("Accept"), Some("Connection")]);
    assert!(run.stderr.lines().nth(1).is_some_and(|line| line.ends_with("...")), "{}", run.stderr);
}
