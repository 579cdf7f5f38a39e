//! How a transfer ends, and its exit code.

use std::time::Duration;

use crate::support::origin::{Answer, ok, origin};
use crate::support::peer::{Refusing, Script, closes_immediately, peer};
use crate::support::sockit::sockit;

#[test]
fn body_goes_to_stdout_and_header_to_stderr() {
    let run = origin([ok("hello\n")]).get("").run();
    run.exits(0).prints("hello\n").logs("HTTP/1.1 200 OK\nContent-Length: 6\n");
}

#[test]
fn include_prints_the_header_and_quiet_hides_it() {
    let server = origin([ok("hello")]);
    let whole = String::from_utf8(ok("hello")).unwrap();
    server.get("-i").run().exits(0).prints(&whole).logs("HTTP/1.1 200 OK");
    server.get("-q").run().exits(0).prints("hello").logs_nothing();
}

#[test]
fn truncated_response_exits_18_with_its_byte_count() {
    let head = "HTTP/1.1 200 OK\r\n";
    for (text, cause, body) in [
        (format!("{head}Content-Length: 9\r\n\r\nhello"), "got 5 of 9 bytes", "hello"),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\n9\r\nhello"),
            "5 of its 9 bytes",
            "hello",
        ),
        (format!("{head}Content-Len"), "in the header", ""),
        (head.to_string(), "in the header", ""),
        ("HTTP".to_string(), "in the header", ""),
    ] {
        let run = origin([text]).get("-q").run();
        run.exits(18).prints(body).logs(cause).fails_at("receive");
    }
}

#[test]
fn reset_after_data_exits_18_and_before_56() {
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello".to_vec();
    let run = origin([Answer::ThenReset(text)]).get("-q").run();
    run.exits(18).prints("hello").logs("reset").logs("got 5 of 9");
    let close = b"HTTP/1.1 200 OK\r\n\r\nhello".to_vec();
    origin([Answer::ThenReset(close)]).get("-q").run().exits(18).prints("hello");
    origin([Answer::ThenReset(Vec::new())]).get("-q").run().exits(56).prints("");
}

#[test]
fn empty_response_exits_52() {
    origin([""]).get("-q").run().exits(52).prints("").fails_at("receive");
    let closing = closes_immediately();
    let run = sockit("http-get -q").arg(format!("http://{}/", closing.addr())).run();
    assert!([52, 56].contains(&run.code), "{}: {}", run.code, run.stderr);
}

#[test]
fn refused_connection_exits_7() {
    let refusing = Refusing::new();
    let run = sockit("http-get").arg(format!("http://{}/", refusing.addr())).run();
    run.exits(7).fails_at("connect");
}

#[test]
fn status_of_400_or_more_exits_22_with_its_body() {
    let server = origin(["HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"]);
    server.get("-q").run().exits(22).prints("gone").logs("404");
    server.get("-q --any-status").run().exits(0).prints("gone");
}

#[test]
fn slow_body_ends_at_the_timeout() {
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhello, hello, hello".to_vec();
    let server = origin([Answer::Drip(text, Duration::from_millis(50))]);
    let run = server.get("-q --timeout 1").run();
    run.exits(28).fails_at("receive");
    assert!(run.took >= Duration::from_secs(1), "{:?}", run.took);
}

#[test]
fn silent_peer_exits_28_at_the_idle_timeout() {
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello".to_vec();
    let server = origin([Answer::ThenSilence(text)]);
    let run = server.get("-q --idle-timeout 1500ms").run();
    run.exits(28).prints("hello").logs("got 5 of 9").fails_at("receive");
}

#[test]
fn closed_stdout_exits_0() {
    let long = ok(&"x".repeat(20 << 20));
    let run = origin([long]).get("-q").redirect("| head -c 10; test ${PIPESTATUS:-0} = 0").run();
    run.exits(0).prints("x".repeat(10)).logs_nothing();
    // It is closed while no data arrives.
    let silent = origin([Answer::ThenSilence(b"HTTP/1.1 200 OK\r\n\r\nhello".to_vec())]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let run = silent.get("-q").stdout_to(writer).start();
    std::io::Read::read_exact(&mut &reader, &mut [0; 5]).expect("what came");
    drop(reader);
    run.wait().exits(0).logs_nothing();
}

#[test]
fn full_disk_exits_23() {
    let server = origin([ok("hello")]);
    server.get("-q").redirect(">/dev/full").run().exits(23).fails_at("stdout");
    server.get("-q -o /dev/full").run().exits(23).fails_at("file");
    let long = origin([ok(&"x".repeat(3 << 20))]);
    long.get("-q").redirect(">/dev/full").run().exits(23);
    long.get("-q -o /dev/full").run().exits(23);
    server.get("-q -o /no/such/place").run().exits(23).fails_at("file");
}

#[test]
fn large_body_is_complete_for_every_copy_method() {
    let body = "0123456789abcdef".repeat(300_000);
    let chunks: String = body.as_bytes().chunks(700_001).fold(String::new(), |text, chunk| {
        text + &format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap())
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    for answer in [
        ok(&body),
        format!("HTTP/1.1 200 OK\r\n\r\n{body}").into_bytes(),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").into(),
    ] {
        let server = origin([answer]);
        let run = server.get("-q").run();
        assert!(run.stdout == body.as_bytes(), "to a pipe");
        run.exits(0);
        server.get("-q").arg("-o").arg(&file).run().exits(0);
        assert!(std::fs::read(&file).unwrap() == body.as_bytes(), "to a file");
        let appended = std::fs::OpenOptions::new().append(true).open(&file).unwrap();
        server.get("-q").stdout_to(appended).run().exits(0);
        assert!(std::fs::read(&file).unwrap().len() == 2 * body.len(), "appended to a file");
    }
}

#[test]
fn decompression_bomb_exits_63() {
    use std::io::Write;
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..70 {
        coder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
    let server = origin([[head, coder.finish().unwrap()].concat()]);
    server.get("-q").redirect(">/dev/null").run().exits(63).logs("bomb");
    server.get("-q --max-decoded 70Mi").redirect(">/dev/null").run().exits(0);
    let run = server.get("-q --max-decoded 1000").run();
    run.exits(63);
    assert_eq!(run.stdout.len(), 1000);
    server.get("-q --no-decode").redirect(">/dev/null").run().exits(0);
}

#[test]
fn stats_have_every_phase_in_milliseconds() {
    let run = origin([ok("hello")]).get("--json --stats").run();
    run.exits(0).prints("hello");
    let stats = &run.events_named("stats")[0];
    for phase in ["dns", "connect", "tls", "first_byte", "total"] {
        assert!(stats[phase].is_number(), "{phase}: {stats}");
    }
    assert!(stats["first_byte"].as_f64() <= stats["total"].as_f64());
    let names: Vec<_> = run.events().iter().map(|e| e["event"].clone()).collect();
    assert_eq!(names, ["connected", "answer", "closed", "stats"]);
    assert_eq!(run.events_named("answer")[0]["status"], 200);
    let text = origin([ok("hello")]).get("--stats").run();
    text.logs("dns ").logs("connect ").logs("first byte ").logs("total ");
}

#[test]
fn half_close_and_delay_serve_http_1_0() {
    let old = peer(|mut stream| {
        let request = stream.read_all();
        stream.send("HTTP/1.0 200 OK\r\n\r\nhello");
        request
    });
    let url = format!("http://{}/old", old.addr());
    let run = sockit("http-get --http1.0 --half-close --raw --delay 200ms").arg(url).run();
    run.exits(0).prints("HTTP/1.0 200 OK\r\n\r\nhello");
    assert!(run.took.as_millis() >= 200);
    let request = String::from_utf8(old.outcome()).unwrap();
    assert!(request.starts_with("GET /old HTTP/1.0\r\n"), "{request}");
}

#[test]
fn unread_stdout_does_not_delay_the_timeout() {
    use std::io::Write;
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    coder.write_all(&vec![b'x'; 3 << 20]).unwrap();
    let coded =
        [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_vec(), coder.finish().unwrap()];
    // A pipe of the largest size that is spliced into holds several times that size.
    for answer in [coded.concat(), ok(&"x".repeat(40 << 20))] {
        let server = origin([answer]);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let run = server.get("-q --timeout 500ms").stdout_to(writer).run();
        run.exits(28);
        drop(reader);
    }
}

#[test]
fn truncated_large_body_exits_18_with_its_byte_count() {
    let body = "y".repeat(3 << 20);
    let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n{body}").into_bytes();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    for answer in [Answer::Bytes(text.clone()), Answer::ThenReset(text)] {
        let server = origin([answer]);
        let run = server.get("-q").run();
        run.exits(18).logs(&format!("got {} of 9000000 bytes", body.len())).fails_at("receive");
        assert!(run.stdout == body.as_bytes());
        server.get("-q").arg("-o").arg(&file).run().exits(18);
        assert!(std::fs::read(dir.path().join("f.part")).unwrap() == body.as_bytes());
    }
}
