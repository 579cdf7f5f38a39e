//! The tutorial programs, unchanged, as peers in both roles: each exchanges the same bytes with
//! sockit as with its counterpart.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::support::peer;
use crate::support::process::{Daemon, Process};
use crate::support::sockit::{LIMIT, Run, sockit};

fn python(program: &str) -> Option<Command> {
    let mut python = peer::program("python3")?;
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tutorials");
    python.arg(folder.join(program)).env("PYTHONIOENCODING", "utf-8");
    Some(python)
}

/// A server of the tutorials; killed when dropped.
struct Theirs {
    child: Child,
    addr: SocketAddr,
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn their_server(program: &str) -> Option<Theirs> {
    let mut command = python(program)?;
    let mut child = command.arg("0").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line.trim().strip_prefix("port ").unwrap().parse().unwrap();
    Some(Theirs { child, addr: ([127, 0, 0, 1], port).into() })
}

/// A client of the tutorials against this server.
fn their_client(program: &str, server: &Daemon, args: &[&str], input: &str) -> Option<Run> {
    let mut command = python(program)?;
    command.arg(server.port().to_string()).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(Process::start(command, Some(input.into()), LIMIT).wait())
}

const GREETINGS: &str = "Welcome!\nHello, Michael!\nHello, Tracy!\nHello, Sarah!\n";

#[test]
fn greeting_server_serves_tcp_client() {
    let Some(server) = their_server("greeting_server.py") else { return };
    sockit("tcp-client --send Michael --send Tracy --send Sarah --send exit")
        .to(server.addr)
        .run()
        .exits(0)
        .prints(GREETINGS);
}

#[test]
fn greeting_client_is_served_by_tcp_server() {
    let server = sockit("tcp-server").serve();
    let Some(run) = their_client("greeting_client.py", &server, &[], "") else { return };
    run.exits(0).prints(GREETINGS);
}

#[test]
fn tcp_client_and_server_greet_as_the_tutorial() {
    let server = sockit("tcp-server").serve();
    sockit("tcp-client --send Michael --send Tracy --send Sarah --send exit")
        .to(server.addr())
        .run()
        .exits(0)
        .prints(GREETINGS);
    server.stop().exits(0);
}

#[test]
fn time_server_serves_tcp_client() {
    let Some(server) = their_server("time_server.py") else { return };
    let run = sockit("tcp-client --send one --send two").to(server.addr).run();
    run.exits(0);
    check_times(&run.text());
}

#[test]
fn prompt_client_is_served_by_time_service() {
    let server = sockit("tcp-server --service time").serve();
    let Some(run) = their_client("prompt_client.py", &server, &[], "one\ntwo\n\n") else { return };
    run.exits(0);
    check_times(&run.text().replace("> ", ""));
}

fn check_times(text: &str) {
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    for (line, message) in lines.iter().zip(["one", "two"]) {
        // `[%s] %s` of ctime, which is 24 characters long.
        assert_eq!((&line[..1], &line[25..]), ("[", &*format!("] {message}")), "{line}");
    }
}

#[test]
fn one_shot_server_serves_tcp_client() {
    let Some(server) = their_server("one_shot_server.py") else { return };
    let run = sockit("tcp-client").to(server.addr).stdin("hi there").run();
    run.exits(0).prints("已接收到数据 hi there");
}

#[test]
fn one_shot_client_is_served_by_ack() {
    let server = sockit("tcp-server --service ack --once").serve();
    let Some(run) = their_client("one_shot_client.py", &server, &["你好"], "") else { return };
    run.exits(0).prints("已接收到数据 你好");
    server.wait().exits(0);
}

#[test]
fn file_object_server_serves_tcp_client() {
    let Some(server) = their_server("file_object_server.py") else { return };
    let run = sockit("tcp-client").to(server.addr).stdin("0123456789").run();
    run.exits(0).prints("Return your msg:0123456789");
}

#[test]
fn file_object_client_is_served_by_bytes_framing() {
    let server = sockit("tcp-server --framing bytes:10 --messages 1")
        .and("--reply 'Return your msg:{message}'")
        .serve();
    let args = ["一二三四五六七八九十"];
    let Some(run) = their_client("one_shot_client.py", &server, &args, "") else { return };
    run.exits(0).prints("Return your msg:一二三四五六七八九十");
}

#[test]
fn class_server_serves_tcp_client() {
    let Some(server) = their_server("class_server.py") else { return };
    let run = sockit("tcp-client --send a --send b").to(server.addr).run();
    run.exits(0).prints("Your msg=a\nYour msg=b\n");
}

#[test]
fn class_client_is_served_by_reply() {
    let server = sockit("tcp-server --reply 'Your msg={message}'").serve();
    let args = ["a", "b", "c d"];
    let Some(run) = their_client("class_client.py", &server, &args, "") else { return };
    run.exits(0).prints("Your msg=a\nYour msg=b\nYour msg=c d\n");
}

#[test]
fn echo_server_serves_tcp_client() {
    let Some(server) = their_server("echo_server.py") else { return };
    let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    sockit("tcp-client").to(server.addr).stdin(&all).run().exits(0).prints(&all);
}

#[test]
fn echo_client_is_served_by_echo() {
    let server = sockit("tcp-server --service echo").serve();
    let Some(run) = their_client("echo_client.py", &server, &[], "") else { return };
    run.exits(0).prints("Received b'Hello, world'\n");
}

#[test]
fn information_client_is_served_by_discard() {
    let server = sockit("tcp-server --service discard").serve();
    let Some(run) = their_client("information_client.py", &server, &[], "") else { return };
    run.exits(0);
    let to = format!("Connected to ('127.0.0.1', {})", server.port());
    assert!(run.text().contains(&to), "{}", run.text());
}

#[test]
fn careful_client_is_served_by_pipe() {
    let mut server = sockit("tcp-server --service pipe --once").stdin_open().serve();
    server.write_stdin("HTTP/1.0 200 OK\r\n\r\nthe file\n");
    server.close_stdin();
    let Some(run) = their_client("careful_client.py", &server, &["/index.html"], "") else {
        return;
    };
    run.exits(0).prints("HTTP/1.0 200 OK\r\n\r\nthe file\n");
    server.wait().exits(0).prints("GET /index.html HTTP/1.0\r\n\r\n");
}

#[test]
fn steps_server_serves_tcp_client() {
    let Some(server) = their_server("steps_server.py") else { return };
    let run = sockit("tcp-client").to(server.addr).stdin("a word\n").run();
    run.exits(0).prints("Good day.\n");
}

#[test]
fn udp_echo_server_serves_udp_client() {
    let Some(server) = their_server("udp_echo_server.py") else { return };
    let run = sockit("udp-client --wait 10s --send one --send '' --send 'two words'");
    run.to(server.addr).run().exits(0).prints("one\n\ntwo words\n");
    let longest = "x".repeat(8192);
    let run = sockit("udp-client --wait 10s").to(server.addr).stdin(&longest).run();
    run.exits(0).prints(longest + "\n");
}

#[test]
fn udp_class_client_is_served_by_udp_echo() {
    let server = sockit("udp-echo --host '' -v").serve();
    let Some(mut client) = python("class_kinds_client.py") else { return };
    client.args(["udp", &server.port().to_string(), "-", "one", "two"]);
    client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = Process::start(client, Some(Vec::new()), LIMIT).wait();
    run.exits(0).prints("one\ntwo\n");
    server.wait_for_log_times("Got data from 127.0.0.1:", 2);
}

#[test]
fn tcp_server_binds_every_interface_as_the_tutorial() {
    let server = sockit("tcp-server --host '' --backlog 5 --service echo").serve();
    let Some(run) = their_client("echo_client.py", &server, &[], "") else { return };
    run.exits(0).prints("Received b'Hello, world'\n");
}
