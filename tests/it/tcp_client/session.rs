//! A session of tcp-client: streams, scripts, files and limits.

use std::fs;
use std::time::Duration;

use crate::support::peer::{self, Script, peer};
use crate::support::sockit::sockit;

#[test]
fn pipe_passes_bytes_unchanged() {
    let echo = peer::echoes();
    let run = sockit("tcp-client").to(echo.addr()).stdin(b"a\r\n\0\xff\xfe no end").run();
    run.exits(0).prints(b"a\r\n\0\xff\xfe no end").logs_nothing();
    assert_eq!(echo.outcome(), 13);
}

#[test]
fn host_and_port_are_accepted_as_one_word() {
    for form in ["127.0.0.1:{}", "localhost:{}", "localhost {}", "127.0.0.1 {}"] {
        let echo = peer::echoes();
        let words = form.replace("{}", &echo.addr().port().to_string());
        sockit("tcp-client -4").and(&words).stdin("hi").run().exits(0).prints("hi");
    }
}

#[test]
fn name_under_localhost_is_loopback() {
    // Over IPv4 and IPv6, independent of the system's resolver.
    let echo = peer::echoes();
    let word = format!("a.b.LocalHost:{}", echo.addr().port());
    sockit("tcp-client").arg(word).stdin("hi").run().exits(0).prints("hi").logs_nothing();
    sockit("tcp-client [::1]:80:90").run().exits(2).fails_at("resolve");
}

#[test]
fn bracketed_ipv6_address_is_connected_to() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else { return };
    let echo = peer::peer_on(listener, |mut stream| {
        let received = stream.read_all();
        stream.send(received);
    });
    let word = echo.addr().to_string();
    sockit("tcp-client").arg(word).stdin("six").run().exits(0).prints("six");
}

#[test]
fn every_address_of_a_name_is_tried() {
    // localhost is ::1 and 127.0.0.1 on most machines; this peer has only the second.
    let echo = peer::echoes();
    let word = format!("localhost:{}", echo.addr().port());
    sockit("tcp-client").arg(word).stdin("both").run().exits(0).prints("both");
}

#[test]
fn script_prints_each_reply_on_its_own_line() {
    let greeter = peer(|mut stream| {
        stream.send("Welcome!");
        for name in ["Michael", "Tracy", "Sarah"] {
            stream.expect_bytes(name);
            stream.send(format!("Hello, {name}!"));
        }
        stream.expect_bytes("exit");
    });
    sockit("tcp-client --send Michael --send Tracy --send Sarah --send exit")
        .to(greeter.addr())
        .run()
        .exits(0)
        .prints("Welcome!\nHello, Michael!\nHello, Tracy!\nHello, Sarah!\n");
    greeter.outcome();
}

#[test]
fn script_sends_c_escapes() {
    let echo = peer(|mut stream| {
        stream.expect_bytes(b"a\tb\r\n\x00\xe2\x9c\x93\\");
        stream.send("done\n");
    });
    let run =
        sockit("tcp-client").arg("--send").arg(r"a\tb\r\n\0\xe2\x9c\x93\\").to(echo.addr()).run();
    run.exits(0).prints("done\n");
}

#[test]
fn expect_waits_for_its_pattern() {
    let slow = peer(|mut stream| {
        stream.send_slowly("220 ready\r\n", Duration::from_millis(5));
        stream.expect_bytes("QUIT\r\n");
        stream.send("221 bye\r\n");
    });
    let run = sockit("tcp-client")
        .and(r"--expect '^220 .*\n' --send 'QUIT\r\n' --expect 221")
        .to(slow.addr())
        .run();
    run.exits(0);
    assert!(run.text().contains("220 ready"), "{}", run.text());
    assert!(run.text().contains("221 bye"), "{}", run.text());
}

#[test]
fn unmet_expect_exits_1_and_logs_both_texts() {
    let other = peer(|mut stream| {
        stream.send("554 no");
        stream.wait_for_close();
    });
    let run = sockit("tcp-client --expect 220 --timeout 2s").to(other.addr()).run();
    run.exits(1).logs("220").logs("554 no");
}

#[test]
fn offset_and_count_select_a_part_of_the_input() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("letters");
    fs::write(&file, "abcdefghijklmnopqrstuvwxyz").unwrap();
    for (flags, part) in [
        ("", "abcdefghijklmnopqrstuvwxyz"),
        ("--offset 20", "uvwxyz"),
        ("--count 3", "abc"),
        ("--offset 3 --count 4", "defg"),
        ("--offset 24 --count 40", "yz"),
        ("--offset 26", ""),
        ("--count 0", ""),
    ] {
        let echo = peer::echoes();
        let run = sockit("tcp-client --input").arg(&file).and(flags).to(echo.addr()).run();
        run.exits(0).prints(part);
    }
}

#[test]
fn output_flag_writes_to_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out");
    let echo = peer::echoes();
    let run = sockit("tcp-client --output").arg(&file).to(echo.addr()).stdin("kept").run();
    run.exits(0).prints("");
    assert_eq!(fs::read(&file).unwrap(), b"kept");
}

#[test]
fn crlf_converts_line_ends() {
    let listener = peer(|mut stream| stream.read_all());
    sockit("tcp-client --crlf").to(listener.addr()).stdin("a\nb\r\nc").run().exits(0);
    assert_eq!(listener.outcome(), b"a\r\nb\r\nc");
}

#[test]
fn rate_limits_the_speed() {
    let echo = peer::echoes();
    let run = sockit("tcp-client --rate 40k/s").to(echo.addr()).stdin(vec![7; 20_000]).run();
    run.exits(0).prints(vec![7; 20_000]);
    // 20 kB at 40 kB/s take half a second; a burst of a quarter of a second is allowed.
    assert!(run.took > Duration::from_millis(250), "{:?}", run.took);
}

#[test]
fn delay_precedes_the_first_byte() {
    let listener = peer(|mut stream| stream.expect_bytes("x"));
    let run = sockit("tcp-client --delay 300ms").to(listener.addr()).stdin("x").run();
    run.exits(0);
    assert!(run.took >= Duration::from_millis(300), "{:?}", run.took);
    listener.outcome();
}

#[test]
fn hex_shows_both_directions() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dump");
    let answer = peer(|mut stream| {
        stream.expect_bytes("hello");
        stream.send("world\n");
        stream.read_all();
    });
    let run = sockit("tcp-client --hex").arg(&file).to(answer.addr()).stdin("hello").run();
    run.exits(0).prints("world\n");
    let dump = fs::read_to_string(&file).unwrap();
    let sent = dump.lines().find(|l| l.starts_with('>')).expect("a line of sent data");
    assert!(sent.starts_with("> 00000000  68 65 6c 6c 6f"), "{dump}");
    assert!(sent.ends_with("|hello|"), "{dump}");
    let came = dump.lines().find(|l| l.starts_with('<')).expect("a line of received data");
    assert!(came.starts_with("< 00000000  77 6f 72 6c 64 0a"), "{dump}");
    assert!(came.ends_with("|world.|"), "{dump}");
}

#[test]
fn stats_have_bytes_and_ended_by() {
    let echo = peer::echoes();
    let run = sockit("tcp-client --stats").to(echo.addr()).stdin("12345").run();
    run.exits(0).prints("12345").logs("5");
    assert!(run.stderr.contains("peer") || run.stderr.contains("us"), "{}", run.stderr);
}

#[test]
fn verbose_logs_each_step_in_order() {
    let echo = peer::echoes();
    let word = format!("localhost:{}", echo.addr().port());
    let run = sockit("tcp-client -4 -v").arg(word).stdin("x").run();
    run.exits(0).prints("x");
    run.logs("Creating socket (IPv4)... done.").logs("Looking up localhost... done: 127.0.0.1");
    run.never_logs("Looking up port number");
    let steps =
        ["Connecting to 127.0.0.1:", "Connected from 127.0.0.1:", "Connected to 127.0.0.1:"];
    let mut rest = run.stderr.as_str();
    // We half-close first, then the peer.
    for step in steps.into_iter().chain(["we send no more", "the peer sends no more"]) {
        let at = rest.find(step).unwrap_or_else(|| panic!("no {step:?} in\n{}", run.stderr));
        rest = &rest[at..];
    }
    run.logs(&format!("Connected to {}", echo.addr()));
}

#[test]
fn refused_connection_exits_7_and_names_its_target() {
    let refusing = peer::Refusing::new();
    let run = sockit("tcp-client").to(refusing.addr()).run();
    run.exits(7).prints("").fails_at("connect").logs("Connection refused");
    run.logs(&refusing.addr().to_string());
}

#[test]
fn stdin_that_cannot_be_read_exits_26() {
    let (_reader, writer) = std::io::pipe().expect("a pipe");
    let server = peer::does_nothing();
    let run = sockit("tcp-client").to(server.addr()).stdin_from(writer).run();
    run.exits(26).fails_at("stdin").logs("Bad file descriptor");
}

#[test]
fn retry_connects_once_the_server_listens() {
    let port = peer::free_port();
    let client = sockit(&format!("tcp-client 127.0.0.1 {port} --retry 200 --retry-delay 20ms -v"))
        .stdin("late")
        .start();
    client.wait_for_log("Connection refused");
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).expect("our port");
    let echo = peer::peer_on(listener, |mut stream| {
        let received = stream.read_all();
        stream.send(received);
    });
    client.wait().exits(0).prints("late");
    echo.outcome();
}

#[test]
fn exhausted_retries_exit_7() {
    let refusing = peer::Refusing::new();
    let run = sockit("tcp-client --retry 2 --retry-delay 100ms").to(refusing.addr()).run();
    run.exits(7).fails_at("connect");
    assert!(run.took >= Duration::from_millis(200), "{:?}", run.took);
}

#[test]
fn source_flag_sets_address_and_port() {
    let listener = peer(|stream| stream.peer_addr().unwrap());
    sockit("tcp-client --source 127.0.0.7").to(listener.addr()).run().exits(0);
    assert_eq!(listener.outcome().ip().to_string(), "127.0.0.7");

    let port = peer::free_port();
    let listener = peer(|stream| stream.peer_addr().unwrap());
    let flags = format!("--source 127.0.0.1:{port}");
    sockit("tcp-client").and(&flags).to(listener.addr()).run().exits(0);
    assert_eq!(listener.outcome().port(), port);
}

#[test]
fn timeout_exits_28_with_its_phase() {
    let silent = peer::does_nothing();
    let run = sockit("tcp-client --timeout 2s").to(silent.addr()).stdin_open().run();
    run.exits(28).fails_at("receive");
}

#[test]
fn idle_timeout_exits_28_without_data() {
    let silent = peer::does_nothing();
    let run = sockit("tcp-client --idle-timeout 300ms").to(silent.addr()).stdin_open().run();
    run.exits(28);
    assert!(run.took >= Duration::from_millis(300), "{:?}", run.took);
}

#[test]
fn idle_timeout_is_reset_by_slow_data() {
    let drip =
        peer(|mut stream| stream.send_slowly("0123456789abcdefghij", Duration::from_millis(100)));
    let run = sockit("tcp-client --idle-timeout 1500ms").to(drip.addr()).run();
    run.exits(0).prints("0123456789abcdefghij");
}

#[test]
fn signal_exits_with_its_number_and_keeps_output() {
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let sender = peer(|mut stream| {
            stream.send("hi");
            stream.wait_for_close()
        });
        let client = sockit("tcp-client").to(sender.addr()).stdin_open().start();
        client.wait_for_output("hi");
        client.signal(signal);
        let run = client.wait();
        run.exits(code).prints("hi");
        assert!(sender.outcome(), "the peer reads our end");
    }
}

#[test]
fn recv_only_ignores_stdin_and_send_only_ends_after_it() {
    let sender = peer(|mut stream| {
        stream.send("all");
        stream.half_close();
        stream.read_all()
    });
    sockit("tcp-client --recv-only").to(sender.addr()).stdin("no").run().exits(0).prints("all");
    assert_eq!(sender.outcome(), b"");

    let listener = peer(|mut stream| stream.read_all());
    sockit("tcp-client --send-only").to(listener.addr()).stdin("go").run().exits(0);
    assert_eq!(listener.outcome(), b"go");
}
