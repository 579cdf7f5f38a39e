//! The programs of the tutorials, each as one sockit command line under strace: `-vv` has a line for
//! every call of the conversation, in order, and for no other.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;

use super::trace_log::TraceLog;
use crate::support::datagrams::{exchange, udp_socket};
use crate::support::peer::{self, Script, connect, peer};
use crate::support::sockit::{Run, Sockit, sockit};
use crate::support::strace::can_trace;

/// Records the run of a server while `client` uses it.
#[track_caller]
fn check_server(line: &str, client: impl FnOnce(TcpStream)) {
    if !can_trace() {
        return;
    }
    let log = TraceLog::new();
    let server = log.record(sockit(line).and("-vv --once")).serve();
    client(connect(server.addr()));
    let run = server.wait();
    run.exits(0);
    log.check(&run);
}

/// Records the run of a client against a peer that plays `script`.
#[track_caller]
fn check_client<T: Send + 'static>(
    client: impl FnOnce(Sockit) -> Sockit,
    script: impl FnOnce(TcpStream) -> T + Send + 'static,
) {
    if !can_trace() {
        return;
    }
    let (log, peer) = (TraceLog::new(), peer(script));
    let run = log.record(client(sockit("tcp-client -vv").to(peer.addr()))).run();
    run.exits(0);
    log.check(&run);
}

fn record(log: &TraceLog, run: Sockit) -> Run {
    let run = log.record(run).run();
    run.exits(0);
    log.check(&run);
    run
}

/// Reads a request up to its empty line.
fn read_request(stream: &TcpStream) {
    let lines = BufReader::new(stream).lines();
    lines.map_while(Result::ok).find(String::is_empty).expect("a complete request");
}

fn file(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("file");
    std::fs::write(&path, "0123456789abcdef").unwrap();
    path
}

#[test]
#[cfg(feature = "http")]
fn download_000_a() {
    if !can_trace() {
        return;
    }
    let origin = peer(|mut stream| {
        read_request(&stream);
        stream.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\na page");
    });
    let url = format!("http://{}/", origin.addr());
    let run = record(&TraceLog::new(), sockit("http-get -vv").arg(url));
    run.prints("a page").logs("> GET / HTTP/1.1").logs("< HTTP/1.1 200 OK");
}

#[test]
fn greeting_server_000_b() {
    check_server("tcp-server", |mut client| {
        client.expect_bytes("Welcome!");
        for name in ["Michael", "Tracy", "Sarah"] {
            client.send(name);
            client.expect_bytes(format!("Hello, {name}!"));
        }
        client.send("exit");
        client.read_all();
    });
}

#[test]
fn greeting_client_000_c() {
    let script = "--send Michael --send Tracy --send exit";
    check_client(
        |client| client.and(script),
        |mut stream| {
            stream.send("Welcome!");
            for name in ["Michael", "Tracy"] {
                stream.expect_bytes(name);
                stream.send(format!("Hello, {name}!"));
            }
            stream.expect_bytes("exit");
        },
    );
}

#[test]
fn time_server_001_a() {
    check_server("tcp-server --service time", |mut client| {
        client.send("tea");
        client.expect_bytes("[");
        client.half_close();
        client.read_all();
    });
}

#[test]
fn prompt_client_001_b() {
    check_client(
        |client| client.and("--prompt").stdin("tea\n\n"),
        |mut stream| {
            stream.expect_bytes("tea");
            stream.send("[now] tea");
            stream.read_all();
        },
    );
}

#[test]
fn one_shot_server_002_a() {
    check_server("tcp-server --service ack", |mut client| {
        client.send("hi");
        assert_eq!(client.read_all(), "已接收到数据 hi".as_bytes());
    });
}

#[test]
fn file_object_server_002_b() {
    let line = "tcp-server --framing bytes:10 --messages 1 --reply 'Return your msg:{message}'";
    check_server(line, |mut client| {
        client.send("0123456789");
        assert_eq!(client.read_all(), b"Return your msg:0123456789");
    });
}

#[test]
fn class_server_of_tcp_002_c() {
    check_server("tcp-server --reply 'Your msg={message}'", |mut client| {
        for message in ["a", "b"] {
            client.send(message);
            client.expect_bytes(format!("Your msg={message}"));
        }
        client.half_close();
        client.read_all();
    });
}

#[test]
fn class_server_of_udp_002_c() {
    if !can_trace() {
        return;
    }
    let log = TraceLog::new();
    let line = "udp-server -vv --max-datagrams 2 --reply 'Your msg={message}'";
    let server = log.record(sockit(line)).serve();
    let client = udp_socket();
    for message in ["a", "b"] {
        let reply = exchange(&client, server.addr(), message);
        assert_eq!(reply, format!("Your msg={message}").as_bytes());
    }
    log.check(&server.wait());
}

#[test]
fn class_servers_of_unix_sockets_002_c() {
    if !can_trace() {
        return;
    }
    for kind in ["", "--datagram"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let line = "unix-server -vv --once --reply 'Your msg={message}'";
        let (server_log, client_log) = (TraceLog::new(), TraceLog::new());
        let server = server_log.record(sockit(line).and(kind).arg(&path)).serve();
        let client = sockit("unix-client -vv --send a").and(kind).arg(&path);
        record(&client_log, client).prints("Your msg=a\n");
        server_log.check(&server.wait());
    }
}

#[test]
fn file_transfers_002_d() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let line = format!("tcp-server --offset 4 --count 10 --file {}", path.display());
    check_server(&line, |mut client| assert_eq!(client.read_all(), b"456789abcd"));
    check_client(
        |client| client.and("--offset 3 --input").arg(path),
        |mut stream| assert_eq!(stream.read_all(), b"3456789abcdef"),
    );
}

#[test]
fn udp_client_002_e() {
    if !can_trace() {
        return;
    }
    let server = sockit("udp-server --reply 'ok {message}'").serve();
    let client = sockit("udp-client -vv --send one --send two").to(server.addr());
    record(&TraceLog::new(), client).prints("ok one\nok two\n");
}

#[test]
fn echo_server_and_client_003() {
    check_server("tcp-server --service echo", |mut client| {
        client.send("Hello, world");
        client.expect_bytes("Hello, world");
        client.half_close();
        client.read_all();
    });
    check_client(
        |client| client.stdin("Hello, world"),
        |stream| std::io::copy(&mut &stream, &mut &stream),
    );
}

#[test]
fn information_client_004_a() {
    check_client(|client| client.and("--recv-only"), |mut stream| stream.send("text"));
}

#[test]
fn careful_client_004_b() {
    check_client(
        |client| client.and("--delay 10ms").stdin("GET /file HTTP/1.0\r\n\r\n"),
        |mut stream| {
            assert_eq!(stream.read_all(), b"GET /file HTTP/1.0\r\n\r\n");
            stream.send("HTTP/1.0 200 OK\r\n\r\nthe file");
        },
    );
}

#[test]
fn steps_server_004_c() {
    check_server("tcp-server --host '' --backlog 5 --service discard", |mut client| {
        client.send("a word");
        client.half_close();
        client.read_all();
    });
}

#[test]
fn udp_echo_server_004_d() {
    if !can_trace() {
        return;
    }
    let log = TraceLog::new();
    let server = log.record(sockit("udp-echo -vv --host '' --max-datagrams 2")).serve();
    let client = udp_socket();
    for message in ["one", ""] {
        assert_eq!(exchange(&client, server.addr(), message), message.as_bytes());
    }
    log.check(&server.wait());
}

/// Lookups are made by the C library, whose sockets are not part of a conversation.
#[test]
fn lookups_004_e_and_f() {
    let run = sockit("resolve -vv --verify 127.0.0.1").run();
    run.logs("> getnameinfo(3): 127.0.0.1");
    let run = sockit("resolve -vv localhost").run();
    run.exits(0).logs("> getaddrinfo(3): localhost");
}

#[test]
fn reset_and_refused_connections() {
    if !can_trace() {
        return;
    }
    let closed = peer::Refusing::new();
    let log = TraceLog::new();
    let run = log.record(sockit("tcp-client -vv").to(closed.addr())).run();
    run.exits(7).logs("Connecting to").logs("failed: Connection refused");
    run.logs("reason: connect(2) failed with ECONNREFUSED: ");
}
