//! `--service chat`: each line to all the others, and nobody waits for anybody.

use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::peer::{Script, call, program};
use crate::support::process::Daemon;
use crate::support::sockit::sockit;

fn serve(line: &str) -> Daemon {
    sockit("tcp-server --service chat --json").and(line).serve()
}

/// A member who is in the room under this name.
fn member(server: &Daemon, name: &str) -> TcpStream {
    let mut caller = call(server.addr());
    // The answer to a bad name shows that the room has heard us, so the good one holds too.
    caller.say(format!("/nick {name}\n/nick a b\n"));
    caller.hear("* a name has letters, digits, - and _\n");
    caller
}

#[test]
fn a_line_goes_to_all_the_others_and_to_our_stdout() {
    let server = serve("");
    let mut ann = member(&server, "ann");
    let mut bob = member(&server, "bob");
    let mut zoe = member(&server, "Zoë");
    ann.say("hello\n");
    bob.hear("ann: hello\n");
    zoe.hear("ann: hello\n");
    zoe.say("two\r\nlines\n");
    ann.hear("Zoë: two\r\nZoë: lines\n");
    bob.hear("Zoë: two\r\nZoë: lines\n");
    server.wait_to_print("ann: hello\nZoë: two\r\nZoë: lines\n");
    bob.finish();
    assert_eq!(bob.hear_all(), b"");
    server.wait_to_say("\"bytes_out\":");
    server.stop().exits(0);
}

#[test]
fn our_own_stdin_speaks_to_all() {
    let mut server = sockit("tcp-server --service chat --json").stdin_open().serve();
    let mut ann = member(&server, "ann");
    let mut bob = member(&server, "bob");
    server.type_in("good morning\r\ncaf\u{e9}\n");
    for one in [&mut ann, &mut bob] {
        one.hear("server: good morning\nserver: caf\u{e9}\n");
    }
    server.type_in(b"no \xe9 end");
    server.end_stdin();
    ann.hear("server: no \\xe9 end\n");
    bob.hear("server: no \\xe9 end\n");
    ann.say("/nick Server\n");
    ann.hear("* that name is reserved\n");
    ann.say("still here\n");
    bob.hear("ann: still here\n");
    server.stop().exits(0);
}

#[test]
fn our_own_terminal_speaks_to_all() {
    let command = sockit("tcp-server --service chat --port 0").command();
    let mut screen = rexpect::session::spawn_command(command, Some(15_000)).unwrap();
    screen.exp_string("127.0.0.1:").unwrap();
    let port = screen.exp_string("...").unwrap().parse().unwrap();
    let mut ann = call(([127, 0, 0, 1], port).into());
    screen.exp_string("Accept new").unwrap();
    screen.send_line("hello").unwrap();
    ann.hear("server: hello\n");
    ann.say("a\x1b[2J\rb\n");
    screen.exp_string("a\\x1b[2J\\x0db").unwrap();
}

#[test]
fn nothing_that_a_terminal_acts_on_reaches_another_member() {
    let server = serve("");
    let mut ann = member(&server, "ann");
    let mut bob = member(&server, "bob");
    for (said, shown) in [
        (&b"\rbob: lend me money"[..], "\\x0dbob: lend me money"),
        (b"x\x08\x1b[1A\x1b[2Kbob: y", "x\\x08\\x1b[1A\\x1b[2Kbob: y"),
        ("\u{9b}2J \u{202e}x\u{2066}".as_bytes(), "\\x9b2J \\u{202e}x\\u{2066}"),
        (b"\x9b2J \xff", "\\x9b2J \\xff"),
        (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("tab\t \\ grüße 小明 🙂".as_bytes(), "tab\t \\ grüße 小明 🙂"),
    ] {
        ann.say([said, b"\n"].concat());
        bob.hear(format!("ann: {shown}\n"));
    }
    server.wait_to_print("ann: \\x0dbob: lend me money\n");

    let server = serve("--framing bytes:12");
    let mut eve = call(server.addr());
    let mut bob = call(server.addr());
    let us = eve.local_addr().unwrap();
    // A client whose message is printed is a member already.
    bob.say("hello there\n");
    server.wait_to_print("hello there");
    eve.say("hi\nbob: ha\r\n");
    bob.hear(format!("{us}: hi\\x0abob: ha\\x0d\\x0a\n"));
}

fn broadcast(flags: &str) -> Daemon {
    sockit("tcp-server --service broadcast --json").and(flags).stdin_open().serve()
}

#[test]
fn broadcast_sends_our_stdin_to_every_client_and_then_ends() {
    let mut server = broadcast("");
    let mut clients = [call(server.addr()), call(server.addr()), call(server.addr())];
    clients[0].say("what a client says goes nowhere");
    // A client whose end of stream is reported is served already.
    clients.iter_mut().for_each(|client| client.finish());
    server.wait_to_say_times("half_closed", 3);
    for piece in [&b"one\x1b\xe9"[..], b"\ntwo"] {
        server.type_in(piece);
        clients.iter_mut().for_each(|client| client.hear(piece));
    }
    server.end_stdin();
    for client in &mut clients {
        assert_eq!(client.hear_all(), b"");
    }
    assert_eq!(call(server.addr()).hear_all(), b"", "nothing is left for one who comes later");
    drop(clients);
    server.wait_to_say_times("\"bytes_out\":9,", 3);
    server.stop().exits(0).prints("");
}

#[cfg(feature = "tls")]
#[test]
fn broadcast_over_tls_ends_by_the_clients_end() {
    let mut server = broadcast("--tls");
    let client = sockit("tcp-client --tls --insecure --recv-only -q").to(server.addr()).start();
    server.wait_to_say("accepted");
    server.type_in("news");
    server.end_stdin();
    client.wait().exits(0).prints("news");
    server.wait_to_say("\"ended_by\":\"peer\"");
    server.stop().exits(0).never_says("\"error\"");
}

#[test]
fn broadcast_waits_for_its_first_client() {
    let mut server = broadcast("");
    server.type_in("early");
    server.end_stdin();
    assert_eq!(call(server.addr()).hear_all(), b"early");
}

#[test]
fn a_client_that_reads_too_slowly_loses_its_place_in_a_broadcast() {
    let mut server = broadcast("");
    let mut deaf = call(server.addr());
    let mut bob = call(server.addr());
    // A client whose end of stream is reported is served already.
    deaf.finish();
    bob.finish();
    server.wait_to_say_times("half_closed", 2);
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..16 {
        server.type_in(&piece);
        bob.hear(&piece);
    }
    server.wait_to_say("reads too slowly");
    drop(deaf);
    server.type_in("still here");
    bob.hear("still here");
    server.end_stdin();
    assert_eq!(bob.hear_all(), b"");
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
    server.wait_to_say("accepted");
    server.type_in("news");
    let mut got = [0; 4];
    client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"news");
    server.end_stdin();
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
        server.wait_to_say("accepted");
        server.type_in("one\n");
        server.type_in("two\n");
        server.end_stdin();
        let out = client.unwrap().wait_with_output().unwrap();
        assert_eq!(out.stdout, b"one\ntwo\n", "{line}");
    }
}

#[test]
fn a_line_that_comes_in_parts_is_one() {
    let server = serve("");
    let mut ann = member(&server, "ann");
    let mut bob = member(&server, "bob");
    ann.set_nodelay(true).unwrap();
    ann.say("par");
    ann.say("tial\n");
    bob.hear("ann: partial\n");
}

#[test]
fn without_a_name_one_is_known_by_the_address() {
    let server = serve("");
    let mut ann = member(&server, "ann");
    let mut caller = call(server.addr());
    let us = caller.local_addr().unwrap();
    caller.say("no line end either");
    ann.hear(format!("{us}: no line end either\n"));
}

#[test]
fn a_name_belongs_to_one() {
    let server = serve("");
    let _ann = member(&server, "ann");
    let mut other = call(server.addr());
    other.say("/nick ann\n");
    other.hear("* that name is taken\n");
    other.say("/nick\n");
    other.hear("* usage: /nick NAME\n");
}

#[test]
fn fifty_members_of_whom_one_never_reads() {
    let server = serve("");
    let mut ann = member(&server, "ann");
    let mut others: Vec<_> = (0..48).map(|n| member(&server, &format!("m{n}"))).collect();
    let _deaf = member(&server, "deaf");
    for round in 0..20 {
        let said = Instant::now();
        ann.say(format!("line {round}\n"));
        for other in &mut others {
            other.hear(format!("ann: line {round}\n"));
        }
        assert!(said.elapsed() < Duration::from_millis(1000), "{:?}", said.elapsed());
    }
}

#[test]
fn who_never_reads_loses_the_place_and_is_told() {
    // A long line may come in parts, and a part would be a message of its own otherwise.
    let server = serve("--framing line");
    let mut ann = member(&server, "ann");
    let mut bob = member(&server, "bob");
    let deaf = member(&server, "deaf");
    let line = "x".repeat(60_000);
    // More than the queue and both kernels' buffers hold; bob gets all of it.
    for _ in 0..400 {
        ann.say(format!("{line}\n"));
        bob.hear(format!("ann: {line}\n"));
    }
    server.wait_to_say("reads too slowly");
    drop(deaf);
    ann.say("still here\n");
    bob.hear("ann: still here\n");
}

#[test]
fn a_flood_costs_no_listener_its_place() {
    const LINES: usize = 20_000;
    let server = serve("--framing line");
    let mut bob = member(&server, "bob");
    let floods: Vec<_> = ["ann", "eve", "zoe"].map(|name| (name, member(&server, name))).into();
    let talkers = floods.into_iter().map(|(name, mut talker)| {
        let mut deaf = talker.try_clone().unwrap();
        std::thread::spawn(move || drain(&mut deaf));
        std::thread::spawn(move || talker.say(format!("from {name}\n").repeat(LINES)))
    });
    let talkers: Vec<_> = talkers.collect();
    let mut heard = 0;
    let mut lines = std::io::BufReader::new(&mut bob).lines();
    while heard < 3 * LINES {
        let line = lines.next().expect("bob keeps the place").unwrap();
        assert!(line.contains(": from "), "{line}");
        heard += 1;
    }
    talkers.into_iter().for_each(|talker| talker.join().unwrap());
}

/// Reads, for someone who is not listening.
fn drain(stream: &mut TcpStream) {
    let mut buffer = [0; 65536];
    while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
}

/// A Unix socket knows no reset, and whoever writes to it must let go all the same.
#[test]
fn who_never_reads_a_unix_socket_loses_the_place_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("room");
    let server = sockit("unix-server --service chat --framing line").arg(&path).serve();
    let mut ann = UnixStream::connect(&path).unwrap();
    ann.set_read_timeout(Some(crate::support::sockit::LIMIT)).unwrap();
    ann.set_write_timeout(Some(crate::support::sockit::LIMIT)).unwrap();
    ann.write_all(b"/nick ann\n/nick a b\n").unwrap();
    ann.read_exact(&mut [0; 38]).unwrap();
    let mut deaf = UnixStream::connect(&path).unwrap();
    deaf.write_all(b"/nick deaf\n").unwrap();
    let line = "x".repeat(60_000) + "\n";
    for _ in 0..60 {
        ann.write_all(line.as_bytes()).unwrap();
    }
    server.wait_to_say("reads too slowly");
    server.stop().exits(0);
}

#[test]
fn a_line_past_the_limit_ends_its_member_only() {
    let server = serve("--max-message 100");
    let mut ann = member(&server, "ann");
    let mut bob = member(&server, "bob");
    bob.say("y".repeat(101));
    server.wait_to_say("\"code\":63");
    let mut next = member(&server, "bob");
    ann.say("again\n");
    next.hear("ann: again\n");
}
