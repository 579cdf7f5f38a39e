//! `--service chat` and `broadcast`: each line goes to all others, and no member delays another.

use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use crate::support::peer::{Script, connect, program};
use crate::support::process::Daemon;
use crate::support::sockit::sockit;

fn serve(line: &str) -> Daemon {
    sockit("tcp-server --service chat --json").and(line).serve()
}

/// A member with this name.
fn member(server: &Daemon, name: &str) -> TcpStream {
    let mut client = connect(server.addr());
    // The reply to the invalid name shows that the valid one before it has been handled.
    client.send(format!("/nick {name}\n/nick a b\n"));
    client.expect_bytes("* a name has letters, digits, - and _\n");
    client
}

#[test]
fn line_goes_to_all_others_and_to_stdout() {
    let server = serve("");
    let mut ann = member(&server, "ann");
    let mut bob = member(&server, "bob");
    let mut zoe = member(&server, "Zoë");
    ann.send("hello\n");
    bob.expect_bytes("ann: hello\n");
    zoe.expect_bytes("ann: hello\n");
    zoe.send("two\r\nlines\n");
    ann.expect_bytes("Zoë: two\r\nZoë: lines\n");
    bob.expect_bytes("Zoë: two\r\nZoë: lines\n");
    server.wait_for_output("ann: hello\nZoë: two\r\nZoë: lines\n");
    bob.half_close();
    assert_eq!(bob.read_all(), b"");
    server.wait_for_log("\"bytes_out\":");
    server.stop().exits(0);
}

#[test]
fn stdin_of_the_server_goes_to_all() {
    let mut server = sockit("tcp-server --service chat --json").stdin_open().serve();
    let mut ann = member(&server, "ann");
    let mut bob = member(&server, "bob");
    server.write_stdin("good morning\r\ncaf\u{e9}\n");
    for one in [&mut ann, &mut bob] {
        one.expect_bytes("server: good morning\nserver: caf\u{e9}\n");
    }
    server.write_stdin(b"no \xe9 end");
    server.close_stdin();
    ann.expect_bytes("server: no \\xe9 end\n");
    bob.expect_bytes("server: no \\xe9 end\n");
    ann.send("/nick Server\n");
    ann.expect_bytes("* that name is reserved\n");
    ann.send("still here\n");
    bob.expect_bytes("ann: still here\n");
    server.stop().exits(0);
}

#[test]
fn terminal_of_the_server_goes_to_all() {
    let command = sockit("tcp-server --service chat --port 0").command();
    let mut screen = rexpect::session::spawn_command(command, Some(15_000)).unwrap();
    screen.exp_string("127.0.0.1:").unwrap();
    let port = screen.exp_string("...").unwrap().parse().unwrap();
    let mut ann = connect(([127, 0, 0, 1], port).into());
    screen.exp_string("Accept new").unwrap();
    screen.send_line("hello").unwrap();
    ann.expect_bytes("server: hello\n");
    ann.send("a\x1b[2J\rb\n");
    screen.exp_string("a\\x1b[2J\\x0db").unwrap();
}

#[test]
fn control_characters_are_escaped_for_other_members() {
    let server = serve("");
    let mut ann = member(&server, "ann");
    let mut bob = member(&server, "bob");
    for (sent, shown) in [
        (&b"\rbob: lend me money"[..], "\\x0dbob: lend me money"),
        (b"x\x08\x1b[1A\x1b[2Kbob: y", "x\\x08\\x1b[1A\\x1b[2Kbob: y"),
        ("\u{9b}2J \u{202e}x\u{2066}".as_bytes(), "\\x9b2J \\u{202e}x\\u{2066}"),
        (b"\x9b2J \xff", "\\x9b2J \\xff"),
        (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("tab\t \\ grüße 小明 🙂".as_bytes(), "tab\t \\ grüße 小明 🙂"),
    ] {
        ann.send([sent, b"\n"].concat());
        bob.expect_bytes(format!("ann: {shown}\n"));
    }
    server.wait_for_output("ann: \\x0dbob: lend me money\n");

    let server = serve("--framing bytes:12");
    let mut eve = connect(server.addr());
    let mut bob = connect(server.addr());
    let us = eve.local_addr().unwrap();
    // A client whose message is printed is a member already.
    bob.send("hello there\n");
    server.wait_for_output("hello there");
    eve.send("hi\nbob: ha\r\n");
    bob.expect_bytes(format!("{us}: hi\\x0abob: ha\\x0d\\x0a\n"));
}

fn broadcast(flags: &str) -> Daemon {
    sockit("tcp-server --service broadcast --json").and(flags).stdin_open().serve()
}

#[test]
fn broadcast_sends_stdin_to_every_client() {
    let mut server = broadcast("");
    let mut clients = [connect(server.addr()), connect(server.addr()), connect(server.addr())];
    clients[0].send("what a client says goes nowhere");
    // A client whose end of stream is reported is served already.
    clients.iter_mut().for_each(|client| client.half_close());
    server.wait_for_log_times("half_closed", 3);
    for piece in [&b"one\x1b\xe9"[..], b"\ntwo"] {
        server.write_stdin(piece);
        clients.iter_mut().for_each(|client| client.expect_bytes(piece));
    }
    server.close_stdin();
    for client in &mut clients {
        assert_eq!(client.read_all(), b"");
    }
    assert_eq!(connect(server.addr()).read_all(), b"", "nothing is left for one who comes later");
    drop(clients);
    server.wait_for_log_times("\"bytes_out\":9,", 3);
    server.stop().exits(0).prints("");
}

#[cfg(feature = "tls")]
#[test]
fn broadcast_over_tls_ends_with_the_client() {
    let mut server = broadcast("--tls");
    let client = sockit("tcp-client --tls --insecure --recv-only -q").to(server.addr()).start();
    server.wait_for_log("accepted");
    server.write_stdin("news");
    server.close_stdin();
    client.wait().exits(0).prints("news");
    server.wait_for_log("\"ended_by\":\"peer\"");
    server.stop().exits(0).never_logs("\"error\"");
}

#[test]
fn broadcast_waits_for_its_first_client() {
    let mut server = broadcast("");
    server.write_stdin("early");
    server.close_stdin();
    assert_eq!(connect(server.addr()).read_all(), b"early");
}

#[test]
fn broadcast_closes_a_client_that_reads_too_slowly() {
    let mut server = broadcast("");
    let mut nonreader = connect(server.addr());
    let mut bob = connect(server.addr());
    // A client whose end of stream is reported is served already.
    nonreader.half_close();
    bob.half_close();
    server.wait_for_log_times("half_closed", 2);
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..16 {
        server.write_stdin(&piece);
        bob.expect_bytes(&piece);
    }
    server.wait_for_log("reads too slowly");
    drop(nonreader);
    server.write_stdin("still here");
    bob.expect_bytes("still here");
    server.close_stdin();
    assert_eq!(bob.read_all(), b"");
    server.stop().exits(0);
}

#[test]
fn broadcast_serves_a_unix_socket_and_real_clients() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("news");
    let mut server =
        sockit("unix-server --service broadcast --json").arg(&path).stdin_open().serve();
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(crate::support::sockit::LIMIT)).unwrap();
    server.wait_for_log("accepted");
    server.write_stdin("news");
    let mut got = [0; 4];
    client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"news");
    server.close_stdin();
    assert_eq!(client.read(&mut got).unwrap(), 0);

    for line in
        ["nc.openbsd 127.0.0.1 PORT", "ncat 127.0.0.1 PORT", "socat -u TCP:127.0.0.1:PORT -"]
    {
        let mut server = broadcast("");
        let port = server.port().to_string();
        let mut words = line.split(' ');
        let Some(mut program) = program(words.next().unwrap()) else { continue };
        let words = words.map(|word| word.replace("PORT", &port));
        let client = program.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        server.wait_for_log("accepted");
        server.write_stdin("one\n");
        server.write_stdin("two\n");
        server.close_stdin();
        let out = client.unwrap().wait_with_output().unwrap();
        assert_eq!(out.stdout, b"one\ntwo\n", "{line}");
    }
}

#[test]
fn line_that_arrives_in_parts_is_one_message() {
    let server = serve("");
    let mut ann = member(&server, "ann");
    let mut bob = member(&server, "bob");
    ann.set_nodelay(true).unwrap();
    ann.send("par");
    ann.send("tial\n");
    bob.expect_bytes("ann: partial\n");
}

#[test]
fn member_without_name_is_shown_by_address() {
    let server = serve("");
    let mut ann = member(&server, "ann");
    let mut client = connect(server.addr());
    let us = client.local_addr().unwrap();
    client.send("no line end either");
    ann.expect_bytes(format!("{us}: no line end either\n"));
}

#[test]
fn name_in_use_is_refused() {
    let server = serve("");
    let _ann = member(&server, "ann");
    let mut other = connect(server.addr());
    other.send("/nick ann\n");
    other.expect_bytes("* that name is taken\n");
    other.send("/nick\n");
    other.expect_bytes("* usage: /nick NAME\n");
}

#[test]
fn member_that_never_reads_does_not_delay_others() {
    let server = serve("");
    let mut ann = member(&server, "ann");
    let mut others: Vec<_> = (0..48).map(|n| member(&server, &format!("m{n}"))).collect();
    let _deaf = member(&server, "deaf");
    for round in 0..20 {
        ann.send(format!("line {round}\n"));
        for other in &mut others {
            other.expect_bytes(format!("ann: line {round}\n"));
        }
    }
}

#[test]
fn member_that_never_reads_is_closed() {
    // A long line may arrive in parts, and each would be a message.
    let server = serve("--framing line");
    let mut ann = member(&server, "ann");
    let mut bob = member(&server, "bob");
    let nonreader = member(&server, "deaf");
    let line = "x".repeat(60_000);
    // More than the queue and both kernels' buffers hold; bob gets all of it.
    for _ in 0..400 {
        ann.send(format!("{line}\n"));
        bob.expect_bytes(format!("ann: {line}\n"));
    }
    server.wait_for_log("reads too slowly");
    drop(nonreader);
    ann.send("still here\n");
    bob.expect_bytes("ann: still here\n");
}

#[test]
fn flood_keeps_members_that_read() {
    const LINES: usize = 20_000;
    let server = serve("--framing line");
    let mut bob = member(&server, "bob");
    let floods: Vec<_> = ["ann", "eve", "zoe"].map(|name| (name, member(&server, name))).into();
    let senders = floods.into_iter().map(|(name, mut sender)| {
        let mut nonreader = sender.try_clone().unwrap();
        std::thread::spawn(move || drain(&mut nonreader));
        std::thread::spawn(move || sender.send(format!("from {name}\n").repeat(LINES)))
    });
    let senders: Vec<_> = senders.collect();
    let mut received = 0;
    let mut lines = std::io::BufReader::new(&mut bob).lines();
    while received < 3 * LINES {
        let line = lines.next().expect("bob keeps the place").unwrap();
        assert!(line.contains(": from "), "{line}");
        received += 1;
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

/// Reads and discards.
fn drain(stream: &mut TcpStream) {
    let mut buffer = [0; 65536];
    while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
}

/// A Unix socket has no reset, and its blocked writer must return all the same.
#[test]
fn unix_member_that_never_reads_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("room");
    let server = sockit("unix-server --service chat --framing line").arg(&path).serve();
    let mut ann = UnixStream::connect(&path).unwrap();
    ann.set_read_timeout(Some(crate::support::sockit::LIMIT)).unwrap();
    ann.set_write_timeout(Some(crate::support::sockit::LIMIT)).unwrap();
    ann.write_all(b"/nick ann\n/nick a b\n").unwrap();
    ann.read_exact(&mut [0; 38]).unwrap();
    let mut nonreader = UnixStream::connect(&path).unwrap();
    nonreader.write_all(b"/nick deaf\n").unwrap();
    let line = "x".repeat(60_000) + "\n";
    for _ in 0..60 {
        ann.write_all(line.as_bytes()).unwrap();
    }
    server.wait_for_log("reads too slowly");
    server.stop().exits(0);
}

#[test]
fn line_beyond_max_message_closes_its_member_only() {
    let server = serve("--max-message 100");
    let mut ann = member(&server, "ann");
    let mut bob = member(&server, "bob");
    bob.send("y".repeat(101));
    server.wait_for_log("\"code\":63");
    let mut next = member(&server, "bob");
    ann.send("again\n");
    next.expect_bytes("ann: again\n");
}
