//! `sockit udp-client`: datagrams, replies, ping and limits.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::datagrams::{local_addr, receive, udp_socket};
use crate::support::peer;
use crate::support::process::Process;
use crate::support::sockit::{LIMIT, sockit};
use crate::support::wait_until;

#[test]
fn line_is_a_datagram_and_reply_is_a_line() {
    let server = sockit("udp-server --service hello").serve();
    // Its reply ends the wait.
    let run = sockit("udp-client --wait 1m").to(server.addr()).stdin("ping").run();
    run.exits(0).prints("Hello, ping!\n").logs_nothing();
}

#[test]
fn line_ends_are_stripped_and_empty_lines_are_sent() {
    let server = sockit("udp-server --framing line --max-datagrams 4").serve();
    let client = sockit("udp-client --wait 10ms").to(server.addr()).stdin("a\r\n\n\nb");
    client.run().exits(0).prints("");
    server.wait().exits(0).prints("a\n\n\nb\n");
}

#[test]
fn input_that_is_not_utf8_is_sent_unchanged() {
    use std::os::unix::ffi::OsStrExt;
    let server = sockit("udp-server --framing line --max-datagrams 4").serve();
    let client = sockit("udp-client --wait 10ms").to(server.addr());
    client.stdin(b"caf\xe9\n\xff\x80\r\nnext\n").run().exits(0);
    let latin1 = std::ffi::OsStr::from_bytes(b"gr\xfc\\x41");
    sockit("udp-client --wait 10ms --send").arg(latin1).to(server.addr()).run().exits(0);
    server.wait().exits(0).prints(b"caf\xe9\n\xff\x80\nnext\ngr\xfcA\n");
}

#[test]
fn each_send_is_a_datagram() {
    let server = sockit("udp-echo").serve();
    let run = sockit("udp-client --wait 10s --send one --send '' --send 'a\\tb\\n'");
    run.to(server.addr()).run().exits(0).prints("one\n\na\tb\n");
}

#[test]
fn missing_reply_exits_0() {
    let silent = udp_socket();
    let run = sockit("udp-client --wait 50ms --send x").to(local_addr(&silent)).run();
    run.exits(0).prints("").logs_nothing();
    assert_eq!(receive(&silent).0, b"x");
    sockit("udp-client").to(local_addr(&silent)).run().exits(0).prints("");
}

#[test]
fn send_only_exits_without_waiting_for_a_reply() {
    let silent = udp_socket();
    let lines = sockit("udp-client --send-only --timeout 5s").to(local_addr(&silent));
    lines.stdin("a\nb\n").run().exits(0).prints("").logs_nothing();
    assert_eq!([receive(&silent).0, receive(&silent).0], [b"a", b"b"]);
    let server = sockit("udp-echo").serve();
    sockit("udp-client --send-only --send x").to(server.addr()).run().exits(0).prints("");
    assert!(server.stop().stderr.contains("1 datagrams in"));
}

#[test]
fn send_only_to_closed_port_exits_7() {
    let closed = local_addr(&udp_socket());
    let run = sockit("udp-client --send-only --send x").to(closed).run();
    run.exits(7).fails_at("connect").logs("Connection refused");
    // Another address of the name may accept it.
    let server = sockit("udp-server --max-datagrams 1").serve();
    let client = sockit(&format!("udp-client localhost {} --send-only --send hi", server.port()));
    client.run().exits(0);
    server.wait().exits(0).prints("hi");
}

#[test]
fn input_dash_sends_stdin_byte_for_byte() {
    let server = sockit("udp-echo").serve();
    let bytes = "a\r\n\n\0b";
    let client = sockit("udp-client --wait 10s --input -").to(server.addr()).stdin(bytes);
    client.run().exits(0).prints(bytes);
    let long = "x".repeat(65_508);
    sockit("udp-client").to(server.addr()).stdin(&long).run().exits(2).logs("--input -");
    assert!(sockit("udp-client --help").run().text().contains("(- is stdin, byte for byte)"));
}

#[test]
fn reply_from_another_port_is_reported_when_verbose() {
    let (peer, other) = (udp_socket(), udp_socket());
    let client = sockit("udp-client -v --wait 10s --send x").to(local_addr(&peer)).start();
    let (_, from) = receive(&peer);
    other.send_to(b"other", from).unwrap();
    client.wait_for_log(&format!("Ignored a datagram from {}", local_addr(&other)));
    peer.send_to(b"answer", from).unwrap();
    client.wait().exits(0).prints("answer\n");
    let refused = local_addr(&udp_socket());
    sockit("udp-client -v --send x").to(refused).run().exits(7).fails_at("connect");
}

#[test]
fn refused_datagram_exits_7() {
    let closed = local_addr(&udp_socket());
    let run = sockit("udp-client --wait 1m --send x").to(closed).run();
    run.exits(7).fails_at("connect").logs("Connection refused");
}

#[test]
fn retry_resends_a_refused_datagram() {
    let socket = udp_socket();
    let at = local_addr(&socket);
    drop(socket);
    let client = sockit("udp-client -v --send you --wait 10s --retry 100 --retry-delay 50ms");
    let client = client.to(at).start();
    client.wait_for_log("Trying again in 50ms (retry 2)");
    let server = sockit(&format!("udp-server --service hello --port {}", at.port())).serve();
    client.wait().exits(0).prints("Hello, you!\n");
    drop(server);
    let run = sockit("udp-client --send x --retry 2 --retry-delay 20ms").to(at).run();
    run.exits(7).fails_at("connect").logs("Connection refused");
    let stopped = sockit("udp-client --send x --retry 9 --retry-delay 1m --timeout 200ms").to(at);
    stopped.run().exits(28);
}

#[test]
fn next_address_is_tried_when_the_first_refuses() {
    // Where localhost has two addresses, a server on either is found.
    for host in ["localhost", "a.localhost"] {
        let server = sockit("udp-server --service hello").serve();
        let client = sockit(&format!("udp-client {host} {} --send you", server.port()));
        client.run().exits(0).prints("Hello, you!\n");
    }
}

#[test]
fn oversized_datagram_exits_2_before_anything_is_sent() {
    let server = udp_socket();
    let long = "x".repeat(65_508);
    let input = format!("fine\n{long}\n");
    let lines = sockit("udp-client").to(local_addr(&server)).stdin(&input).run();
    lines.exits(2).logs("65507").prints("");
    let texts = sockit("udp-client --send fine --send").arg(&long).to(local_addr(&server));
    texts.run().exits(2).logs("65507");
    let pieces = sockit("udp-client --input /dev/null --size 65508").to(local_addr(&server));
    pieces.run().exits(2).logs("65507");
    // Also when it arrives in parts, and ends with stdin.
    let mut slow = sockit("udp-client").to(local_addr(&server)).stdin_open().start();
    slow.write_stdin("fine\n");
    slow.write_stdin(&long[..40_000]);
    slow.wait_for_stdin_read();
    slow.write_stdin(&long[40_000..]);
    slow.close_stdin();
    slow.wait().exits(2).logs("65507");
    server.set_nonblocking(true).unwrap();
    assert!(server.recv(&mut [0; 10]).is_err(), "something was sent");
}

#[test]
fn longest_datagram_is_echoed() {
    let server = sockit("udp-echo").serve();
    let longest = "y".repeat(65_507);
    let run = sockit("udp-client --wait 10s").to(server.addr()).stdin(&longest).run();
    run.exits(0).prints(longest + "\n");
}

#[test]
fn file_in_pieces_is_echoed_completely() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let content: Vec<u8> = (0..=250).cycle().take(300_001).collect();
    std::fs::write(&file, &content).unwrap();
    let server = sockit("udp-echo --max-rate 0 --json").serve();
    let run = sockit("udp-client --wait 10s --size 1000 --input").arg(&file).to(server.addr());
    run.run().exits(0).prints(&content);
    let run = server.stop();
    assert_eq!(run.events_named("totals")[0]["datagrams_in"], 301);
    sockit("udp-client --input /no/such/file").run().exits(26).fails_at("file");
    sockit("udp-client --input /").run().exits(26).logs("sockit: file /: ");
}

#[test]
fn open_stdin_is_sent_line_by_line() {
    let server = sockit("udp-server --service hello").serve();
    let mut client = sockit("udp-client").to(server.addr()).stdin_open().start();
    for name in ["Ann", "Bob"] {
        client.write_stdin(format!("{name}\n"));
        client.wait_for_output(format!("Hello, {name}!\n"));
    }
    client.close_stdin();
    client.wait().exits(0);
}

#[test]
fn closed_stdout_exits_0_and_full_disk_exits_23() {
    let server = sockit("udp-echo").serve();
    let full = sockit("udp-client --send x").to(server.addr()).redirect("> /dev/full");
    full.run().exits(23);
    let mut client = sockit("udp-client").to(server.addr()).stdin_open().redirect("| true").start();
    client.write_stdin("x\n");
    client.wait().exits(0);
}

#[test]
fn malformed_arguments_are_usage_errors() {
    for line in [
        "udp-client 127.0.0.1 65536",
        "udp-client --count 0",
        "udp-client --count 3 --size 10",
        "udp-client --count 3 --send x",
        "udp-client --size 10 --send x",
        "udp-client --interval 1s --send x",
        "udp-client --keepalive --send x",
        "udp-client --wait never",
        "udp-client --send '\\q'",
    ] {
        sockit(line).run().exits(2).prints("");
    }
    sockit("udp-client no-such-name.invalid. 9").run().exits(6).fails_at("resolve");
}

#[test]
fn signal_exits_130_and_timeout_exits_28() {
    let silent = udp_socket();
    let client = sockit("udp-client -v --wait 0 --send x").to(local_addr(&silent)).start();
    client.wait_for_log("Sent 1 bytes");
    client.signal(libc::SIGINT);
    client.wait().exits(130);
    let late = sockit("udp-client --wait 0 --timeout 2s --send x").to(local_addr(&silent)).run();
    late.exits(28).fails_at("receive");
}

#[test]
fn broadcast_address_requires_the_broadcast_flag() {
    let server = sockit("udp-server --service hello --host 0.0.0.0").serve();
    let port = server.port();
    let denied = sockit(&format!("udp-client 127.255.255.255 {port} --send you")).run();
    denied.exits(7).logs("--broadcast");
    let allowed = format!("udp-client 127.255.255.255 {port} --send you --broadcast");
    sockit(&allowed).run().exits(0).prints("Hello, you!\n");
}

#[test]
fn multicast_leaves_from_the_interface_of_the_source() {
    let server = sockit("udp-server --service hello --join 239.255.77.2").serve();
    let line =
        format!("udp-client {} --send you --source 127.0.0.1 --multicast-ttl 3", server.local());
    sockit(&line).run().exits(0).prints("Hello, you!\n");
}

#[test]
fn ping_without_loss_has_clean_figures() {
    let server = sockit("udp-echo").serve();
    let run = sockit("udp-client --count 20 --interval 1ms").to(server.addr()).run();
    run.exits(0).logs_nothing();
    let text = run.text();
    let sums = "20 sent, 20 received, 0 lost (0.0%), 0 duplicates, 0 reordered\n";
    assert!(text.starts_with(sums), "{text}");
    assert!(text.contains("round trip min/avg/max/p99 = "), "{text}");
}

#[test]
fn ping_without_reply_exits_1() {
    let silent = udp_socket();
    let run =
        sockit("udp-client --count 3 --interval 1ms --wait 50ms").to(local_addr(&silent)).run();
    run.exits(1).prints("3 sent, 0 received, 3 lost (100.0%), 0 duplicates, 0 reordered\n");
    let closed = local_addr(&udp_socket());
    let refused = sockit("udp-client --count 3 --interval 1ms --wait 50ms").to(closed).run();
    refused.exits(1).logs("Connection refused");
}

/// The sequence number of a ping.
fn number(ping: &[u8]) -> u32 {
    let text = String::from_utf8_lossy(ping);
    text.split(' ').nth(2).and_then(|word| word.parse().ok()).expect("a numbered ping")
}

/// Forwards datagrams to `server` and its replies back, with losses towards the server: each tenth
/// is dropped (20 of 200), each fiftieth duplicated (4), each twentieth swapped with the next (10
/// pairs).
fn relay(server: SocketAddr) -> SocketAddr {
    let (front, back) = (udp_socket(), udp_socket());
    back.connect(server).unwrap();
    let at = local_addr(&front);
    let client: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
    let (answers, known) =
        ((front.try_clone().unwrap(), back.try_clone().unwrap()), client.clone());
    thread::spawn(move || {
        let mut buffer = [0; 2000];
        while let Ok(n) = answers.1.recv(&mut buffer) {
            let to = known.lock().unwrap().expect("answers follow questions");
            let _ = answers.0.send_to(&buffer[..n], to);
        }
    });
    thread::spawn(move || impair(&front, &back, &client));
    at
}

fn impair(front: &UdpSocket, back: &UdpSocket, client: &Mutex<Option<SocketAddr>>) {
    let mut held: HashMap<u32, Vec<u8>> = HashMap::new();
    let mut buffer = [0; 2000];
    while let Ok((n, from)) = front.recv_from(&mut buffer) {
        *client.lock().unwrap() = Some(from);
        let (ping, number) = (buffer[..n].to_vec(), number(&buffer[..n]));
        if number % 20 == 5 {
            held.insert(number + 1, ping);
            continue;
        }
        let times = match number {
            n if n % 10 == 0 => 0,
            n if n % 50 == 1 => 2,
            _ => 1,
        };
        (0..times).for_each(|_| drop(back.send(&ping)));
        if let Some(late) = held.remove(&number) {
            let _ = back.send(&late);
        }
    }
}

#[test]
fn ping_over_a_lossy_relay_counts_exactly() {
    let server = sockit("udp-echo --max-rate 0").serve();
    let relayed = relay(server.addr());
    // As many as fit in a socket's buffer while a loaded machine runs neither the relay nor the server.
    let run = sockit("udp-client --count 200 --interval 1ms --wait 3s --json").to(relayed).run();
    run.exits(0);
    let found: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    for (field, value) in
        [("sent", 200), ("received", 180), ("lost", 20), ("duplicates", 4), ("reordered", 10)]
    {
        assert_eq!(found[field], value, "{field}: {found}");
    }
    let (min, p99, max) = (&found["min_ms"], &found["p99_ms"], &found["max_ms"]);
    assert!(min.as_f64() <= p99.as_f64() && p99.as_f64() <= max.as_f64(), "{found}");
}

#[test]
fn real_udp_servers_are_answered() {
    let servers: [(&str, &[&str]); 3] = [
        ("nc.openbsd", &["-u", "-l", "127.0.0.1", "PORT"]),
        ("ncat", &["-u", "-l", "127.0.0.1", "PORT"]),
        ("socat", &["STDIO", "UDP4-LISTEN:PORT,bind=127.0.0.1"]),
    ];
    for (name, args) in servers {
        let Some(mut server) = peer::program(name) else { continue };
        let port = peer::free_port().to_string();
        server.args(args.iter().map(|arg| arg.replace("PORT", &port)));
        server.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut server = Process::start(server, None, LIMIT);
        let client = sockit(&format!("udp-client 127.0.0.1 {port} --wait 10s")).stdin_open();
        let mut client = client.start();
        // No event shows that a UDP port is bound: retry until a datagram arrives.
        wait_until(&format!("{name} receives a datagram"), || {
            client.write_stdin("question\n");
            thread::sleep(Duration::from_millis(50));
            server.stdout.bytes().ends_with(b"question")
        });
        server.write_stdin("answer\n");
        client.wait_for_output("answer\n");
    }
}

/// More lines than a pipe holds.
fn lines() -> String {
    format!("{}\n", "x".repeat(5000)).repeat(60)
}

#[test]
fn unread_stdout_delays_neither_timeout_nor_signal() {
    let server = sockit("udp-echo --max-rate 0").serve();
    let (_reader, writer) = crate::support::datagrams::unread_pipe();
    let run = sockit("udp-client --timeout 1s").to(server.addr()).stdin(lines());
    let run = run.stdout_to(writer).run();
    run.exits(28).fails_at("stdout");
    for (signal, code) in [(libc::SIGTERM, 143), (libc::SIGINT, 130)] {
        let (_reader, writer) = crate::support::datagrams::unread_pipe();
        let run = sockit("udp-client -v").to(server.addr()).stdin(lines());
        let run = run.stdout_to(writer).start();
        run.wait_for_log_times("Got 5000 bytes", 9);
        run.signal(signal);
        run.wait().exits(code);
    }
}

#[test]
fn nonblocking_stdout_gets_every_reply() {
    let server = sockit("udp-echo --max-rate 0").serve();
    let (writer, read) = crate::support::datagrams::nonblocking_pipe();
    let run = sockit("udp-client").to(server.addr()).stdin(lines()).stdout_to(writer).run();
    run.exits(0).logs_nothing();
    assert_eq!(read(), lines().as_bytes());
}
