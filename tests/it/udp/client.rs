//! `sockit udp-client`: datagrams out, answers in, and an early leave.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::datagrams::{caller, hear, local};
use crate::support::peer;
use crate::support::process::Running;
use crate::support::sockit::{LIMIT, sockit};

#[test]
fn a_line_is_a_datagram_and_an_answer_is_a_line() {
    let server = sockit("udp-server --service hello").serve();
    let run = sockit("udp-client --wait 10s").to(server.addr()).stdin("ping").run();
    run.exits(0).prints("Hello, ping!\n").is_silent();
    assert!(run.took < Duration::from_secs(5), "it waited though it had its answer: {run:?}");
}

#[test]
fn line_ends_stay_here_and_empty_lines_are_sent() {
    let server = sockit("udp-server --framing line --max-datagrams 4").serve();
    let client = sockit("udp-client --wait 10ms").to(server.addr()).stdin("a\r\n\n\nb");
    client.run().exits(0).prints("");
    server.wait().exits(0).prints("a\n\n\nb\n");
}

#[test]
fn lines_and_texts_that_are_not_utf8_are_sent_as_they_are() {
    use std::os::unix::ffi::OsStrExt;
    let server = sockit("udp-server --framing line --max-datagrams 4").serve();
    let client = sockit("udp-client --wait 10ms").to(server.addr());
    client.stdin(b"caf\xe9\n\xff\x80\r\nnext\n").run().exits(0);
    let latin1 = std::ffi::OsStr::from_bytes(b"gr\xfc\\x41");
    sockit("udp-client --wait 10ms --send").arg(latin1).to(server.addr()).run().exits(0);
    server.wait().exits(0).prints(b"caf\xe9\n\xff\x80\nnext\ngr\xfcA\n");
}

#[test]
fn each_text_is_a_datagram() {
    let server = sockit("udp-echo").serve();
    let run = sockit("udp-client --wait 10s --send one --send '' --send 'a\\tb\\n'");
    run.to(server.addr()).run().exits(0).prints("one\n\na\tb\n");
}

#[test]
fn no_answer_at_all_is_no_error() {
    let silent = caller();
    let run = sockit("udp-client --wait 50ms --send x").to(local(&silent)).run();
    run.exits(0).prints("").is_silent();
    assert_eq!(hear(&silent).0, b"x");
    sockit("udp-client").to(local(&silent)).run().exits(0).prints("");
}

#[test]
fn send_only_exits_without_waiting_for_a_reply() {
    let silent = caller();
    let lines = sockit("udp-client --send-only --timeout 900ms").to(local(&silent));
    lines.stdin("a\nb\n").run().exits(0).prints("").is_silent();
    assert_eq!([hear(&silent).0, hear(&silent).0], [b"a", b"b"]);
    let server = sockit("udp-echo").serve();
    sockit("udp-client --send-only --send x").to(server.addr()).run().exits(0).prints("");
    assert!(server.stop().stderr.contains("1 datagrams in"));
}

#[test]
fn send_only_to_closed_port_exits_7() {
    let closed = local(&caller());
    let run = sockit("udp-client --send-only --send x").to(closed).run();
    run.exits(7).fails_at("connect").says("Connection refused");
    // Another address of the name may still take it.
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
    sockit("udp-client").to(server.addr()).stdin(&long).run().exits(2).says("--input -");
    assert!(sockit("udp-client --help").run().text().contains("(- is stdin, byte for byte)"));
}

#[test]
fn reply_from_another_port_is_reported_when_verbose() {
    let (peer, other) = (caller(), caller());
    let client = sockit("udp-client -v --wait 10s --send x").to(local(&peer)).start();
    let (_, from) = hear(&peer);
    other.send_to(b"other", from).unwrap();
    client.wait_to_say(&format!("Ignored a datagram from {}", local(&other)));
    peer.send_to(b"answer", from).unwrap();
    client.wait().exits(0).prints("answer\n");
    let refused = local(&caller());
    sockit("udp-client -v --send x").to(refused).run().exits(7).fails_at("connect");
}

#[test]
fn a_refusal_is_told() {
    let nobody = local(&caller());
    let run = sockit("udp-client --send x").to(nobody).run();
    run.exits(7).fails_at("connect").says("Connection refused");
    assert!(run.took < Duration::from_millis(900), "{run:?}");
}

#[test]
fn a_refusal_is_tried_again_when_asked_for() {
    let place = caller();
    let at = local(&place);
    drop(place);
    let client = sockit("udp-client -v --send you --wait 10s --retry 100 --retry-delay 50ms");
    let client = client.to(at).start();
    client.wait_to_say("Trying again in 50ms (retry 2)");
    let server = sockit(&format!("udp-server --service hello --port {}", at.port())).serve();
    client.wait().exits(0).prints("Hello, you!\n");
    drop(server);
    let run = sockit("udp-client --send x --retry 2 --retry-delay 20ms").to(at).run();
    run.exits(7).fails_at("connect").says("Connection refused");
    let stopped = sockit("udp-client --send x --retry 9 --retry-delay 1m --timeout 200ms").to(at);
    stopped.run().exits(28);
}

#[test]
fn the_next_address_is_tried_when_the_first_refuses() {
    // Where localhost has both addresses, the server on either is found.
    for host in ["localhost", "a.localhost"] {
        let server = sockit("udp-server --service hello").serve();
        let client = sockit(&format!("udp-client {host} {} --send you", server.port()));
        client.run().exits(0).prints("Hello, you!\n");
    }
}

#[test]
fn what_no_datagram_carries_is_refused_before_anything_is_sent() {
    let server = caller();
    let long = "x".repeat(65_508);
    let input = format!("fine\n{long}\n");
    let lines = sockit("udp-client").to(local(&server)).stdin(&input).run();
    lines.exits(2).says("65507").prints("");
    let texts = sockit("udp-client --send fine --send").arg(&long).to(local(&server));
    texts.run().exits(2).says("65507");
    let pieces = sockit("udp-client --input /dev/null --size 65508").to(local(&server));
    pieces.run().exits(2).says("65507");
    // Also when it comes in pieces, and when its end is the end of stdin.
    let mut slow = sockit("udp-client").to(local(&server)).stdin_open().start();
    slow.type_in("fine\n");
    slow.type_in(&long[..40_000]);
    thread::sleep(Duration::from_millis(20));
    slow.type_in(&long[40_000..]);
    slow.end_stdin();
    slow.wait().exits(2).says("65507");
    server.set_nonblocking(true).unwrap();
    assert!(server.recv(&mut [0; 10]).is_err(), "something was sent");
}

#[test]
fn the_longest_datagram_there_is_goes_both_ways() {
    let server = sockit("udp-echo").serve();
    let longest = "y".repeat(65_507);
    let run = sockit("udp-client --wait 10s").to(server.addr()).stdin(&longest).run();
    run.exits(0).prints(longest + "\n");
}

#[test]
fn a_file_goes_out_in_pieces_and_comes_back_whole() {
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
    sockit("udp-client --input /").run().exits(26).says("sockit: file /: ");
}

#[test]
fn stdin_that_stays_open_is_served_line_by_line() {
    let server = sockit("udp-server --service hello").serve();
    let mut client = sockit("udp-client").to(server.addr()).stdin_open().start();
    for name in ["Ann", "Bob"] {
        client.type_in(format!("{name}\n"));
        client.wait_to_print(format!("Hello, {name}!\n"));
    }
    client.end_stdin();
    client.wait().exits(0);
}

#[test]
fn a_reader_that_left_is_no_error_and_a_full_disk_is() {
    let server = sockit("udp-echo").serve();
    let full = sockit("udp-client --send x").to(server.addr()).redirect("> /dev/full");
    full.run().exits(23);
    let mut client = sockit("udp-client").to(server.addr()).stdin_open().redirect("| true").start();
    client.type_in("x\n");
    client.wait().exits(0);
}

#[test]
fn malformed_words_are_usage() {
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
fn signals_and_limits_have_their_codes() {
    let silent = caller();
    let client = sockit("udp-client -v --wait 0 --send x").to(local(&silent)).start();
    client.wait_to_say("Sent 1 bytes");
    client.signal(libc::SIGINT);
    client.wait().exits(130);
    let late = sockit("udp-client --wait 0 --timeout 100ms --send x").to(local(&silent)).run();
    late.exits(28).fails_at("receive");
}

#[test]
fn a_whole_network_is_written_to_only_when_allowed() {
    let server = sockit("udp-server --service hello --host 0.0.0.0").serve();
    let port = server.port();
    let denied = sockit(&format!("udp-client 127.255.255.255 {port} --send you")).run();
    denied.exits(7).says("--broadcast");
    let allowed = format!("udp-client 127.255.255.255 {port} --send you --broadcast");
    sockit(&allowed).run().exits(0).prints("Hello, you!\n");
}

#[test]
fn a_group_is_written_to_from_the_interface_of_the_source() {
    let server = sockit("udp-server --service hello --join 239.255.77.2").serve();
    let line =
        format!("udp-client {} --send you --source 127.0.0.1 --multicast-ttl 3", server.local());
    sockit(&line).run().exits(0).prints("Hello, you!\n");
}

#[test]
fn a_ping_without_trouble_has_clean_figures() {
    let server = sockit("udp-echo").serve();
    let run = sockit("udp-client --count 20 --interval 1ms").to(server.addr()).run();
    run.exits(0).is_silent();
    let text = run.text();
    let sums = "20 sent, 20 received, 0 lost (0.0%), 0 duplicates, 0 reordered\n";
    assert!(text.starts_with(sums), "{text}");
    assert!(text.contains("round trip min/avg/max/p99 = "), "{text}");
}

#[test]
fn a_ping_without_an_answer_is_1() {
    let silent = caller();
    let run = sockit("udp-client --count 3 --interval 1ms --wait 50ms").to(local(&silent)).run();
    run.exits(1).prints("3 sent, 0 received, 3 lost (100.0%), 0 duplicates, 0 reordered\n");
    let nobody = local(&caller());
    let refused = sockit("udp-client --count 3 --interval 1ms --wait 50ms").to(nobody).run();
    refused.exits(1).says("Connection refused");
}

/// The number in a ping of ours.
fn number(ping: &[u8]) -> u32 {
    let text = String::from_utf8_lossy(ping);
    text.split(' ').nth(2).and_then(|word| word.parse().ok()).expect("a numbered ping")
}

/// Passes datagrams on to `far` and its answers back, with mischief on the way out: each tenth is
/// dropped (100 of 1,000), each fiftieth doubled (20), each twentieth changes places with the next
/// (50 pairs).
fn relay(far: SocketAddr) -> SocketAddr {
    let (near, back) = (caller(), caller());
    back.connect(far).unwrap();
    let at = local(&near);
    let client: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
    let (answers, known) = ((near.try_clone().unwrap(), back.try_clone().unwrap()), client.clone());
    thread::spawn(move || {
        let mut buffer = [0; 2000];
        while let Ok(n) = answers.1.recv(&mut buffer) {
            let to = known.lock().unwrap().expect("answers follow questions");
            let _ = answers.0.send_to(&buffer[..n], to);
        }
    });
    thread::spawn(move || mischief(&near, &back, &client));
    at
}

fn mischief(near: &UdpSocket, back: &UdpSocket, client: &Mutex<Option<SocketAddr>>) {
    let mut held: HashMap<u32, Vec<u8>> = HashMap::new();
    let mut buffer = [0; 2000];
    while let Ok((n, from)) = near.recv_from(&mut buffer) {
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
fn the_figures_of_a_bad_line_are_exact() {
    let server = sockit("udp-echo --max-rate 0").serve();
    let through = relay(server.addr());
    let run = sockit("udp-client --count 1000 --interval 1ms --json").to(through).run();
    run.exits(0);
    let found: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    for (field, value) in
        [("sent", 1000), ("received", 900), ("lost", 100), ("duplicates", 20), ("reordered", 50)]
    {
        assert_eq!(found[field], value, "{field}: {found}");
    }
    let (min, p99, max) = (&found["min_ms"], &found["p99_ms"], &found["max_ms"]);
    assert!(min.as_f64() <= p99.as_f64() && p99.as_f64() <= max.as_f64(), "{found}");
}

#[test]
fn their_servers_are_understood() {
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
        let mut server = Running::start(server, None, LIMIT);
        let client = sockit(&format!("udp-client 127.0.0.1 {port} --wait 10s")).stdin_open();
        let mut client = client.start();
        // Nobody says when a UDP port is listened on: we try until we are heard.
        let until = std::time::Instant::now() + LIMIT;
        while !server.stdout.bytes().ends_with(b"question") {
            client.type_in("question\n");
            thread::sleep(Duration::from_millis(50));
            assert!(std::time::Instant::now() < until, "{name} hears nothing");
        }
        server.type_in("answer\n");
        client.wait_to_print("answer\n");
    }
}

/// More lines than a pipe holds.
fn lines() -> String {
    format!("{}\n", "x".repeat(5000)).repeat(60)
}

#[test]
fn a_stuck_reader_holds_up_no_end() {
    let server = sockit("udp-echo --max-rate 0").serve();
    let (_reader, writer) = crate::support::datagrams::stuck();
    let run = sockit("udp-client --timeout 1s").to(server.addr()).stdin(lines());
    let run = run.stdout_to(writer).run();
    run.exits(28).fails_at("stdout");
    assert!(run.took < Duration::from_secs(10), "{:?}", run.took);
    for (signal, code) in [(libc::SIGTERM, 143), (libc::SIGINT, 130)] {
        let (_reader, writer) = crate::support::datagrams::stuck();
        let run = sockit("udp-client -v").to(server.addr()).stdin(lines());
        let run = run.stdout_to(writer).start();
        run.wait_to_say_times("Got 5000 bytes", 9);
        run.signal(signal);
        run.wait().exits(code);
    }
}

#[test]
fn a_stdout_that_does_not_wait_gets_every_answer() {
    let server = sockit("udp-echo --max-rate 0").serve();
    let (writer, read) = crate::support::datagrams::unwaiting();
    let run = sockit("udp-client").to(server.addr()).stdin(lines()).stdout_to(writer).run();
    run.exits(0).is_silent();
    assert_eq!(read(), lines().as_bytes());
}
