//! `--send` and `--expect`: what is printed, when a script ends, and its exit code.

use std::io::Read;
use std::time::Duration;

use crate::support::peer::{self, Script, peer, wait_until_read};
use crate::support::sockit::sockit;

#[test]
fn closed_stdout_ends_the_script_with_0() {
    let server = sockit("tcp-server").serve();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let flags = "tcp-client --timeout 15s --send Ann --expect Ann --expect never";
    let script = sockit(flags).to(server.addr()).stdout_to(writer).start();
    let mut first = [0];
    reader.read_exact(&mut first).unwrap();
    drop(reader);
    let run = script.wait();
    run.exits(0).logs_nothing();
}

#[test]
fn full_stdout_of_a_script_exits_23() {
    let server = sockit("tcp-server").serve();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let run = sockit("tcp-client --send Ann").to(server.addr()).stdout_to(full).run();
    run.exits(23).fails_at("stdout").logs("No space left");
}

/// A peer that sends until the connection is closed.
fn flood() -> peer::Peer<()> {
    peer(|mut stream| {
        use std::io::Write;
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    })
}

#[test]
fn unread_stdout_delays_neither_timeout_nor_signal() {
    for mode in ["--expect never", "--prompt --keep-empty"] {
        let (reader, writer) = std::io::pipe().unwrap();
        let client = sockit("tcp-client --timeout 600ms").and(mode).to(flood().addr());
        let run = client.stdin_open().stdout_to(writer).run();
        run.exits(28);
        drop(reader);

        let (reader, writer) = std::io::pipe().unwrap();
        let client = sockit("tcp-client --idle-timeout 600ms").and(mode).to(flood().addr());
        client.stdin_open().stdout_to(writer).run().exits(28);
        drop(reader);

        let (mut reader, writer) = std::io::pipe().unwrap();
        let client = sockit("tcp-client").and(mode).to(flood().addr());
        let client = client.stdin_open().stdout_to(writer).start();
        reader.read_exact(&mut [0]).unwrap();
        client.signal(libc::SIGTERM);
        client.wait().exits(143);
        drop(reader);
    }
}

#[test]
fn missing_reply_exits_28_at_the_idle_timeout() {
    for mode in ["--timeout 15s --send x", "--timeout 15s --expect x", "--prompt"] {
        let silent = peer::does_nothing();
        let client = sockit("tcp-client --idle-timeout 400ms").and(mode).to(silent.addr());
        let run = client.stdin_open().run();
        run.exits(28).fails_at("receive").logs("400ms");
    }
}

#[test]
fn delay_does_not_count_as_idle() {
    let run = |mode| {
        let slow = peer(|mut stream| {
            stream.send("wait");
            let mut first = [0];
            let n = stream.read(&mut first).unwrap_or(0);
            stream.send(&first[..n]);
        });
        let flags = "tcp-client --delay 3s --idle-timeout 2s";
        sockit(flags).and(mode).to(slow.addr()).stdin("x").run()
    };
    // With --recv-only no input is to come: the delay passes, then the limit.
    std::thread::scope(|scope| {
        for (mode, code) in [("--send x", 0), ("--recv-only", 28), ("", 0)] {
            scope.spawn(move || {
                run(mode).exits(code);
            });
        }
    });
}

#[test]
fn data_after_the_last_reply_is_printed_until_end_of_stream() {
    let slow = peer(|mut stream| {
        stream.expect_bytes("x");
        stream.send("one");
        stream.read_all();
        std::thread::sleep(Duration::from_millis(2500));
        stream.send("two");
    });
    let run = sockit("tcp-client --send x").to(slow.addr()).run();
    run.exits(0).prints("one\ntwo\n");
}

#[test]
fn script_with_echo_ends_at_its_own_end() {
    let echo = peer::echoes();
    let run = sockit("tcp-client --send abc").to(echo.addr()).run();
    run.exits(0).prints("abc\n");
}

#[test]
fn script_with_open_peer_ends_at_the_timeout() {
    for limit in ["--timeout 1500ms", "--timeout 1m --idle-timeout 1s"] {
        let stays = peer(|mut stream| {
            stream.expect_bytes("x");
            stream.send("reply");
            stream.wait_for_close();
        });
        let run = sockit("tcp-client --send x").and(limit).to(stays.addr()).run();
        run.exits(0).prints("reply\n");
    }
}

#[test]
fn signal_after_the_last_reply_exits_143() {
    let stays = peer(|mut stream| {
        stream.expect_bytes("x");
        stream.send("reply");
        stream.wait_for_fin();
        stream.wait_for_close()
    });
    let client = sockit("tcp-client -v --send x").to(stays.addr()).start();
    client.wait_for_log("we send no more");
    client.signal(libc::SIGTERM);
    client.wait().exits(143).prints("reply\n");
}

#[test]
fn hang_up_and_no_half_close_apply_to_a_script() {
    let stays = peer(|mut stream| {
        stream.expect_bytes("x");
        stream.send("reply");
        (stream.read_all(), stream)
    });
    let run = sockit("tcp-client --send x --hang-up").to(stays.addr()).run();
    run.exits(0).prints("reply\n");
    assert_eq!(stays.outcome().0, b"");

    let ends_late = peer(|mut stream| {
        stream.expect_bytes("x");
        stream.send("reply");
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let received = stream.read(&mut [0]);
        stream.send("more");
        received.is_err()
    });
    let run = sockit("tcp-client --send x --no-half-close").to(ends_late.addr()).run();
    run.exits(0).prints("reply\nmore\n");
    assert!(ends_late.outcome(), "no half-close");
}

#[test]
fn send_to_a_closed_peer_exits_18() {
    for steps in ["--send x --expect ok --send y", "--send x --send y"] {
        let gone = peer(|mut stream| {
            stream.expect_bytes("x");
            stream.send("ok");
        });
        let run = sockit("tcp-client").and(steps).to(gone.addr()).run();
        run.exits(18).prints("ok\n");
    }
}

#[test]
fn reset_reports_the_bytes_before_it() {
    let remote = peer(|mut stream| {
        stream.expect_bytes("x");
        stream.send("12345");
        stream.wait_for_fin();
        stream.reset();
    });
    let run = sockit("tcp-client --send x").to(remote.addr()).run();
    run.exits(18).fails_at("receive").logs("after 5 bytes");
}

#[test]
fn expect_matches_characters_that_arrive_in_parts() {
    let torn = peer(|mut stream| {
        for byte in "已接收到数据 \u{1f600}".as_bytes() {
            stream.send([*byte]);
            wait_until_read(&stream);
        }
        stream.wait_for_close()
    });
    let run = sockit("tcp-client --expect 已接收到数据 --expect '^ .$' --timeout 45s --hang-up")
        .to(torn.addr())
        .run();
    run.exits(0);
}

#[test]
fn failed_pattern_is_logged_as_typed() {
    let other = peer(|mut stream| stream.send(r"C:\dir"));
    let run = sockit(r"tcp-client --expect '^\d+\.$'").to(other.addr()).run();
    run.exits(1).logs(r#"expected /^\d+\.$/, got "C:\dir""#);
    let run = sockit(r"tcp-client --expect '\d+('").run();
    run.exits(2).logs(r"'\d+('").never_logs(r"\\d");
}

#[test]
fn empty_send_is_skipped() {
    let echo = peer::echoes();
    let run = sockit("tcp-client --send '' --send a --send ''").to(echo.addr()).run();
    run.exits(0).prints("a\n");
}

#[test]
fn crlf_and_rate_apply_to_a_script() {
    let listener = peer(|mut stream| {
        stream.expect_bytes("a\r\nbbbbbbbbbbbbbbbbb");
        stream.send("ok");
    });
    let flags = r"tcp-client --crlf --rate 40/s --send 'a\nbbbbbbbbbbbbbbbbb'";
    let run = sockit(flags).to(listener.addr()).run();
    run.exits(0).prints("ok\n");
    // 20 bytes at 40 a second, after a burst.
    assert!(run.took > Duration::from_millis(600), "{:?}", run.took);
}

#[test]
fn eol_is_appended_to_every_message() {
    let listener = peer(|mut stream| {
        stream.expect_bytes("HEAD / HTTP/1.0\r\n\r\n");
        stream.send("ok");
    });
    let flags = "tcp-client --eol crlf --send 'HEAD / HTTP/1.0' --expect '' --send ''";
    sockit(flags).to(listener.addr()).run().exits(0).prints("ok\n");
}

#[cfg(feature = "tls")]
#[test]
fn tls_peer_that_never_reads_does_not_delay_the_timeout() {
    let server = sockit("tcp-server --tls --recv-buffer 4096 --exec 'sleep 60'").serve();
    for flags in ["", "--send-buffer 2048"] {
        let run = sockit("tcp-client --tls --insecure --timeout 1s")
            .and(flags)
            .and(&"--send LONG --send LONG".replace("LONG", &"x".repeat(120_000)))
            .to(server.addr())
            .run();
        run.exits(28);
    }
}

#[test]
fn contradictory_flags_are_usage_errors() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    std::fs::write(&file, "x").unwrap();
    for line in [
        "--send x --input F",
        "--send x --count 3",
        "--send x --offset 3",
        "--send x --prompt",
        "--send x --recv-only",
        "--send x --exit-on-eof",
        "--send x --half-close",
        "--recv-only --half-close",
        "--hang-up --half-close",
        "--count 3",
        "--offset 3",
        "--recv-only --input F",
        "--prompt --input F",
        "--prompt --recv-only",
    ] {
        let line = line.replace('F', file.to_str().unwrap());
        sockit("tcp-client").and(&line).run().exits(2).logs("sockit: usage: ");
    }
}

#[test]
fn text_that_is_not_utf8_is_sent_unchanged() {
    use std::os::unix::ffi::OsStrExt;
    let latin1 = std::ffi::OsStr::from_bytes(b"caf\xe9\\n\xff");
    let echo = peer::echoes();
    let run = sockit("tcp-client --send").arg(latin1).to(echo.addr()).run();
    run.exits(0).prints(b"caf\xe9\n\xff\n");

    let server = sockit("tcp-server --reply").arg(latin1).serve();
    let run = sockit("tcp-client --send x").to(server.addr()).run();
    run.exits(0).prints(b"caf\xe9\n\xff\n");
}

#[test]
fn expect_matches_bytes_and_text_that_arrive_in_parts() {
    // The messages split them: the peer sends the next part only after it has read one.
    let telnet = peer(|mut stream| {
        stream.send(b"\xff");
        stream.expect_bytes("1");
        stream.send(b"\xfb\x01caf\xc3");
        stream.expect_bytes("2");
        stream.send(b"\xa9 \xe9.");
        stream.read_all()
    });
    let script = r"--expect \xff --send 1 --expect \xfb.caf --send 2 --expect \xe9\.";
    let run = sockit("tcp-client").and(&quoted(script)).to(telnet.addr()).run();
    run.exits(0).prints(b"\xff\n\xfb\x01caf\xc3\n\xa9 \xe9.\n");

    let cafe = peer(|mut stream| {
        stream.send("un caf\u{e9} noir");
        stream.read_all()
    });
    let client = sockit("tcp-client --expect").arg("caf[\u{e8}-\u{ea}] n.ir$").to(cafe.addr());
    client.run().exits(0);
}

/// Quotes each word for a shell, so that its backslashes stay.
fn quoted(line: &str) -> String {
    line.split(' ').map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

#[test]
fn failed_expect_shows_the_received_bytes() {
    let telnet = peer(|mut stream| {
        stream.send(b"\xff\xfb\x01");
        stream.read_all()
    });
    let client = sockit("tcp-client --timeout 2s --expect").arg(r"\xfe").to(telnet.addr());
    client.run().exits(1).logs(r"expected /\xfe/, got").logs(r"\xff\xfb");
}
