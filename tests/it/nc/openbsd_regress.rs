//! The cases of OpenBSD's regression suite for nc (regress/usr.bin/nc, version 1.11) without TLS, with a
//! runner of our own. docs/nc.md lists those that do not pass, and why.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;

use crate::support::peer;
use crate::support::process::Process;
use crate::support::sockit::{LIMIT, scratch, sockit};

/// A server that has `greeting` to send, and the port it listens on.
fn serve(line: &str) -> (Process, String) {
    let server = sockit(&format!("nc {line}")).stdin("greeting\n").start();
    server.wait_for_log(if line.contains("-u") { "Bound on " } else { "Listening on " });
    let log = String::from_utf8(server.stderr.bytes()).expect("a log");
    let port = log.lines().next().and_then(|line| line.rsplit(' ').next());
    (server, port.expect("a port").to_string())
}

/// A client that has `command` to send.
fn connect(line: &str, port: &str) -> Process {
    sockit(&format!("nc {}", line.replace("PORT", port))).stdin("command\n").start()
}

#[test]
fn tcp_pairs_exchange_lines_in_the_words_of_nc() {
    let cases = [
        ("-n -v -l 127.0.0.1 0", "-n -v 127.0.0.1 PORT", "127.0.0.1", "127.0.0.1"),
        ("-n -v -l ::1 0", "-n -v ::1 PORT", "::1", "::1"),
        ("-4 -v -l localhost 0", "-n -v 127.0.0.1 PORT", "localhost", "127.0.0.1"),
        ("-6 -v -l localhost 0", "-n -v ::1 PORT", "localhost", "::1"),
        ("-n -v -l 127.0.0.1 0", "-4 -v localhost PORT", "127.0.0.1", "localhost"),
        ("-n -v -l ::1 0", "-6 -v localhost PORT", "::1", "localhost"),
    ];
    for (server, client, server_name, client_name) in cases {
        let (server, port) = serve(server);
        let client = connect(client, &port).wait();
        client.exits(0).prints("greeting\n").logs(&format!("Connection to {client_name} "));
        client.logs("succeeded!");
        let server = server.wait();
        server.exits(0).prints("command\n").logs(&format!("Listening on {server_name} "));
        server.logs(&format!("Connection received on {server_name} "));
    }
}

/// The suite expects the words of OpenBSD's C library; those of this system are printed.
#[test]
fn address_of_the_other_family_is_an_error_of_getaddrinfo() {
    for line in ["-4 -v -l ::1 0", "-6 -v -l 127.0.0.0 0", "-4 -v ::1 9", "-6 -v 127.0.0.1 9"] {
        sockit(&format!("nc {line}")).run().exits(1).logs("nc: getaddrinfo ");
    }
}

#[test]
fn kept_tcp_server_greets_the_first_client_only() {
    let (server, port) = serve("-k -n -v -l 127.0.0.1 0");
    connect("-n -v 127.0.0.1 PORT", &port).wait().exits(0).prints("greeting\n");
    connect("-n -v 127.0.0.1 PORT", &port).wait().exits(0).prints("");
    server.wait_for_output("command\ncommand\n");
    server.wait_for_log_times("Connection received on 127.0.0.1 ", 2);
}

#[test]
fn udp_pairs_exchange_lines_in_the_words_of_nc() {
    let cases = [
        ("-u -n -v -l 127.0.0.1 0", "-u -n 127.0.0.1 PORT", "127.0.0.1"),
        ("-u -n -v -l ::1 0", "-u -n ::1 PORT", "::1"),
        ("-u -4 -v -l localhost 0", "-u -4 localhost PORT", "localhost"),
        ("-u -6 -v -l localhost 0", "-u -6 localhost PORT", "localhost"),
    ];
    for (server, client, name) in cases {
        let (mut server, port) = serve(server);
        let mut client = connect(client, &port);
        client.wait_for_output("greeting\n");
        server.wait_for_output("command\n");
        server.wait_for_log(&format!("Bound on {name} "));
        server.wait_for_log(&format!("Connection received on {name} "));
        assert!(server.is_alive() && client.is_alive(), "datagrams have no end");
    }
}

/// The suite expects four datagrams `X` before the command; sockit sends none.
#[test]
fn verbose_udp_client_sends_nothing_but_its_input() {
    let (server, port) = serve("-u -n -v -l 127.0.0.1 0");
    let client = connect("-u -v -n 127.0.0.1 PORT", &port);
    client.wait_for_output("greeting\n");
    client.wait_for_log("Connection to 127.0.0.1 ");
    server.wait_for_output("command\n");
}

#[test]
fn kept_udp_server_prints_what_several_clients_send() {
    let (server, port) = serve("-k -u -n -v -l 127.0.0.1 0");
    let client = connect("-u -n -v 127.0.0.1 PORT", &port);
    server.wait_for_output("command\n");
    drop(client);
    let client = connect("-u -n -v 127.0.0.1 PORT", &port);
    server.wait_for_output("command\ncommand\n");
    client.wait_for_log("succeeded!");
    assert!(client.stdout.bytes().is_empty());
    let log = String::from_utf8(server.stderr.bytes()).expect("a log");
    assert_eq!(log, format!("Bound on 127.0.0.1 {port}\n"));
}

/// A path for a socket.
fn socket(name: &str) -> PathBuf {
    let path = scratch().join(format!("nc-{name}-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn unix_pair_exchanges_lines_in_the_words_of_nc() {
    for numeric in ["-n", ""] {
        let path = socket("stream");
        let path = path.display();
        let (server, _) = serve(&format!("-U {numeric} -v -l {path}"));
        let client = connect(&format!("-U {numeric} -v {path}"), "").wait();
        client.exits(0).prints("greeting\n").never_logs("succeeded");
        let server = server.wait();
        server.exits(0).prints("command\n").logs(&format!("Bound on {path}\n"));
        server.logs(&format!("Listening on {path}\n"));
        server.logs(&format!("Connection received on {path}\n"));
    }
}

/// The suite expects `Connection refused`: nc.openbsd leaves its socket file behind.
#[test]
fn unix_probe_ends_the_server_and_its_file() {
    let path = socket("probe");
    let (server, _) = serve(&format!("-U -n -v -l {}", path.display()));
    let probe = || sockit(&format!("nc -N -U -v {}", path.display())).run();
    probe().exits(0).never_logs("succeeded");
    server.wait();
    probe().exits(1).logs(&format!("{}: No such file or directory", path.display()));
}

#[test]
fn kept_unix_server_greets_the_first_client_only() {
    let path = socket("kept");
    let path = path.display();
    let (server, _) = serve(&format!("-k -U -n -v -l {path}"));
    connect(&format!("-U -n -v {path}"), "").wait().exits(0).prints("greeting\n");
    connect(&format!("-U -n -v {path}"), "").wait().exits(0).prints("");
    server.wait_for_output("command\ncommand\n");
    server.wait_for_log_times(&format!("Connection received on {path}"), 2);
}

#[test]
fn unix_datagram_pair_exchanges_lines_in_the_words_of_nc() {
    let (path, own) = (socket("datagram"), socket("client"));
    let path = path.display();
    let own = format!("-s {}", own.display());
    for (flags, own) in [("-n", ""), ("", ""), ("-n", own.as_str())] {
        let (server, _) = serve(&format!("-U -u {flags} -v -l {path}"));
        let client = connect(&format!("-U -u {flags} -v {own} {path}"), "");
        client.wait_for_output("greeting\n");
        client.wait_for_log("Bound on ");
        server.wait_for_output("command\n");
        server.wait_for_log(&format!("Connection received on {path}"));
        drop(client);
        server.signal(libc::SIGTERM);
        server.wait();
    }
}

#[test]
fn kept_unix_datagram_server_prints_what_several_clients_send() {
    let path = socket("kept-datagram");
    let (server, _) = serve(&format!("-k -U -u -n -v -l {}", path.display()));
    for expected in ["command\n", "command\ncommand\n"] {
        let client = connect(&format!("-U -u -n -v {}", path.display()), "");
        server.wait_for_output(expected);
        client.wait_for_log("Bound on ");
        assert!(client.stdout.bytes().is_empty());
    }
    let log = String::from_utf8(server.stderr.bytes()).expect("a log");
    assert_eq!(log, format!("Bound on {}\n", path.display()));
}

/// What a test peer of the suite does, in order.
#[derive(Clone, Copy)]
enum Task {
    Send(&'static str),
    Receive(&'static str),
    HalfClose,
    AwaitEof,
}

use Task::{AwaitEof, HalfClose, Receive, Send};

fn perform(mut stream: TcpStream, tasks: &[Task]) {
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    for task in tasks {
        match task {
            Send(text) => stream.write_all(text.as_bytes()).expect("the peer reads"),
            Receive(text) => {
                let mut received = vec![0; text.len()];
                stream.read_exact(&mut received).expect("the peer sends");
                assert_eq!(received, text.as_bytes());
            }
            HalfClose => stream.shutdown(Shutdown::Write).expect("an open stream"),
            AwaitEof => assert_eq!(stream.read(&mut [0]).expect("an orderly end"), 0),
        }
    }
}

const GREETING: &str = "greeting\n";
const COMMAND: &str = "command\n";

#[test]
fn server_passes_every_order_of_a_test_client() {
    let cases: [(&str, &[Task]); 5] = [
        ("", &[Receive(GREETING), Send(COMMAND)]),
        ("", &[Receive(GREETING), Send(COMMAND), HalfClose, AwaitEof]),
        ("", &[Send(COMMAND), HalfClose, Receive(GREETING), AwaitEof]),
        ("-N", &[Receive(GREETING), Send(COMMAND), AwaitEof, HalfClose]),
        ("-N", &[Send(COMMAND), HalfClose, Receive(GREETING), AwaitEof]),
    ];
    for (flag, tasks) in cases {
        let (server, port) = serve(&format!("{flag} -n -v -l 127.0.0.1 0"));
        let at = SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a number")));
        perform(peer::connect(at), tasks);
        let server = server.wait();
        server.exits(0).prints(COMMAND).logs("Listening on 127.0.0.1 ");
        server.logs("Connection received on 127.0.0.1 ");
    }
}

#[test]
fn client_passes_every_order_of_a_test_server() {
    let cases: [(&str, &[Task]); 5] = [
        ("", &[Send(GREETING), Receive(COMMAND)]),
        ("", &[Send(GREETING), HalfClose, Receive(COMMAND), AwaitEof]),
        ("", &[Receive(COMMAND), Send(GREETING), AwaitEof, HalfClose]),
        ("-N", &[Send(GREETING), HalfClose, Receive(COMMAND), AwaitEof]),
        ("-N", &[Receive(COMMAND), AwaitEof, Send(GREETING), HalfClose]),
    ];
    for (flag, tasks) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port().to_string();
        let client = connect(&format!("{flag} -n -v 127.0.0.1 PORT"), &port);
        perform(listener.accept().expect("a client").0, tasks);
        client.wait().exits(0).prints(GREETING).logs("Connection to 127.0.0.1 ");
    }
}
