//! Malformed responses: each is accepted with exactly this body, or fails with the exit code of its
//! class after exactly the bytes before the error.

use crate::support::origin::{Answer, origin};

/// Framing fields, what follows the blank line, the code, and the body on stdout.
type Case = (&'static str, &'static str, i32, &'static str);

const FRAMINGS: &[Case] = &[
    // Lengths.
    ("Content-Length: 5", "hello", 0, "hello"),
    ("Content-Length: 5", "hello, and more", 0, "hello"),
    ("content-length:5", "hello", 0, "hello"),
    ("Content-Length:\t5 \t", "hello", 0, "hello"),
    ("Content-Length: 0", "", 0, ""),
    ("Content-Length: 005", "hello", 0, "hello"),
    ("Content-Length: 5\r\nContent-Length: 5", "hello", 0, "hello"),
    ("Content-Length: 5, 5", "hello", 0, "hello"),
    ("Content-Length:\r\n 5", "hello", 0, "hello"),
    ("Content-Length-X: 3", "hello", 0, "hello"),
    ("X: y", "hello", 0, "hello"),
    ("Content-Length: 5\r\nContent-Length: 6", "hello", 8, ""),
    ("Content-Length: 5, 6", "hello", 8, ""),
    ("Content-Length: +5", "hello", 8, ""),
    ("Content-Length: -5", "hello", 8, ""),
    ("Content-Length: 0x5", "hello", 8, ""),
    ("Content-Length: 5abc", "hello", 8, ""),
    ("Content-Length: 5 5", "hello", 8, ""),
    ("Content-Length: 5;", "hello", 8, ""),
    ("Content-Length: 5.0", "hello", 8, ""),
    ("Content-Length: 5e0", "hello", 8, ""),
    ("Content-Length: \"5\"", "hello", 8, ""),
    ("Content-Length:", "hello", 8, ""),
    ("Content-Length: 5,", "hello", 8, ""),
    ("Content-Length: ,5", "hello", 8, ""),
    ("Content-Length: 00000000000000000005", "hello", 8, ""),
    ("Content-Length: 18446744073709551621", "hello", 8, ""),
    ("Content-Length: 36893488147419103232", "hello", 8, ""),
    ("Content-Length: 9", "hello", 18, "hello"),
    // Chunks.
    ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", 0, "hello"),
    ("Transfer-Encoding: CHUNKED", "5\r\nhello\r\n0\r\n\r\n", 0, "hello"),
    ("Transfer-Encoding: chunked", "A\r\n0123456789\r\n0\r\n\r\n", 0, "0123456789"),
    ("Transfer-Encoding: chunked", "0005\r\nhello\r\n000\r\n\r\n", 0, "hello"),
    ("Transfer-Encoding: chunked", "2\r\nhe\r\n3\r\nllo\r\n0\r\nT: r\r\n\r\n", 0, "hello"),
    ("Transfer-Encoding: chunked", "5;a;b=c;d=\"e;\\\"f\"\r\nhello\r\n0\r\n\r\n", 0, "hello"),
    ("Transfer-Encoding: chunked\r\nContent-Length: 3", "5\r\nhello\r\n0\r\n\r\n", 0, "hello"),
    ("Transfer-Encoding: identity, chunked", "5\r\nhello\r\n0\r\n\r\n", 0, "hello"),
    ("Transfer-Encoding: identity\r\nContent-Length: 5", "hello", 0, "hello"),
    ("Transfer-Encoding: chunked", "\r\nhello\r\n0\r\n\r\n", 8, ""),
    ("Transfer-Encoding: chunked", "+5\r\nhello\r\n0\r\n\r\n", 8, ""),
    ("Transfer-Encoding: chunked", "-5\r\nhello\r\n0\r\n\r\n", 8, ""),
    ("Transfer-Encoding: chunked", "0x5\r\nhello\r\n0\r\n\r\n", 8, ""),
    ("Transfer-Encoding: chunked", " 5\r\nhello\r\n0\r\n\r\n", 8, ""),
    ("Transfer-Encoding: chunked", "ILLEGAL\r\nhello\r\n0\r\n\r\n", 8, ""),
    ("Transfer-Encoding: chunked", "5 x\r\nhello\r\n0\r\n\r\n", 8, ""),
    ("Transfer-Encoding: chunked", "12345678123456789\r\nhello\r\n0\r\n\r\n", 8, ""),
    ("Transfer-Encoding: chunked", "0000000000000005\r\nhello\r\n0\r\n\r\n", 0, "hello"),
    ("Transfer-Encoding: chunked", "5   \r\nhello\r\n0 \t\r\n\r\n", 0, "hello"),
    ("Transfer-Encoding: chunked", "5 ;a \r\nhello\r\n000000000000000000\r\n\r\n", 0, "hello"),
    ("Transfer-Encoding: chunked", "5\nhello\r\n0\r\n\r\n", 8, ""),
    ("Transfer-Encoding: chunked", "5\r\nhello\n0\r\n\r\n", 8, "hello"),
    ("Transfer-Encoding: chunked", "5\r\nhello!\r\n0\r\n\r\n", 8, "hello"),
    ("Transfer-Encoding: chunked", "5\r\nhello0\r\n\r\n", 8, "hello"),
    ("Transfer-Encoding: chunked", "5\r\nhello\r\nzz\r\n", 8, "hello"),
    ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nno trailer\r\n\r\n", 8, "hello"),
    ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nT: \0\r\n\r\n", 8, "hello"),
    ("Transfer-Encoding: chunked", "5;a=\"b\r\nhello\r\n0\r\n\r\n", 8, ""),
    ("Transfer-Encoding: chunked", "5;\r\nhello\r\n0\r\n\r\n", 8, ""),
    ("Transfer-Encoding: chunked", "", 18, ""),
    ("Transfer-Encoding: chunked", "5", 18, ""),
    ("Transfer-Encoding: chunked", "5\r\nhel", 18, "hel"),
    ("Transfer-Encoding: chunked", "5\r\nhello\r\n", 18, "hello"),
    ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n", 18, "hello"),
    // Transfer codings.
    ("Transfer-Encoding: gzip, chunked", "5\r\nhello\r\n0\r\n\r\n", 8, ""),
    ("Transfer-Encoding: chunked, gzip", "hello", 8, ""),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "hello", 8, ""),
    ("Transfer-Encoding: chunkedchunked", "5\r\nhello\r\n0\r\n\r\n", 8, ""),
    ("Transfer-Encoding: identityx\r\nContent-Length: 5", "hello", 8, ""),
    ("Transfer-Encoding: gobbledigook", "hello", 8, ""),
    ("Transfer-Encoding: chunked\r\n  abc", "5\r\nhello\r\n0\r\n\r\n", 8, ""),
    ("Transfer-Encoding:", "hello", 8, ""),
    // Header lines.
    ("Content-Length : 5", "hello", 8, ""),
    ("en-US Content-Length: 5", "hello", 8, ""),
    ("no colon at all", "hello", 8, ""),
    (": 5", "hello", 8, ""),
    ("A: b\0c", "hello", 8, ""),
    ("A: b\rC: d", "hello", 8, ""),
    (" A: b", "hello", 8, ""),
    ("A: b\n\tc\nContent-Length: 5", "hello", 0, "hello"),
    ("A: \x1b[2J\x07", "hello", 0, "hello"),
    ("A\u{e9}: b", "hello", 8, ""),
    // Codings.
    ("Content-Encoding: identity\r\nContent-Length: 5", "hello", 0, "hello"),
    ("Content-Encoding: foo\r\nContent-Length: 5", "hello", 0, "hello"),
    ("Content-Encoding: gzip\r\nContent-Length: 0", "", 0, ""),
    ("Content-Encoding: gzip\r\nContent-Length: 5", "hello", 61, ""),
    ("Content-Encoding: deflate\r\nContent-Length: 5", "hello", 61, ""),
    ("Content-Encoding: gzip,gzip,gzip,gzip,gzip,gzip\r\nContent-Length: 5", "hello", 61, ""),
];

#[test]
fn framing_has_its_exit_code_and_body() {
    let mut wrong = Vec::new();
    for (fields, rest, code, body) in FRAMINGS {
        let server = origin([format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{rest}")]);
        let run = server.get("").run();
        if run.code != *code || run.stdout != body.as_bytes() {
            wrong.push(format!("{fields:?} {rest:?}: {} {:?}", run.code, run.text()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), FRAMINGS.len(), wrong.join("\n"));
}

#[test]
fn status_line_has_its_exit_code() {
    for (line, code) in [
        ("HTTP/1.1 200 OK", 0),
        ("HTTP/1.0 200 OK", 0),
        ("HTTP/1.2 200 OK", 0),
        ("HTTP/1.1 200", 0),
        ("HTTP/1.1 200 ", 0),
        ("HTTP/1.1 200  two", 0),
        ("\r\nHTTP/1.1 200 OK", 0),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK", 0),
        ("HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK", 0),
        ("HTTP/1.1 404 Not Found", 22),
        ("HTTP/1.1 999 What", 22),
        ("HTTP/1.1 101 Switching Protocols", 8),
        ("HTTP/2 200 OK", 8),
        ("HTTP/0.9 200 OK", 8),
        ("HTTP/11.1 200 OK", 8),
        ("HTTP/1.10 200 OK", 8),
        ("HTTP/1.1\t200 OK", 8),
        ("HTTP/1.1  200 OK", 8),
        ("HTTP/1.1 20 OK", 8),
        ("HTTP/1.1 2000 OK", 8),
        ("HTTP/1.1 -12 OK", 8),
        ("HTTP/1.1 099 OK", 8),
        ("HTTP/1.1 OK", 8),
        ("HTTPER/1.1 200 OK", 8),
        ("HTP/1.1 200 OK", 8),
        ("ICY 200 OK", 8),
        ("RTSP/1.0 200 OK", 8),
        ("http/1.1 200 OK", 8),
        ("<html>", 8),
        ("HTTP/1.1 200 OK\rX: y", 8),
        ("HTTP/1.1 200 OK\r", 8),
    ] {
        let server = origin([format!("{line}\r\nContent-Length: 5\r\n\r\nhello")]);
        let run = server.get("").run();
        assert_eq!(run.code, code, "{line:?}: {}", run.stderr);
        run.prints(if code == 0 || code == 22 { "hello" } else { "" });
    }
}

#[test]
fn responses_without_body_are_not_waited_for() {
    for (flags, text) in [
        ("", "HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n"),
        ("", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("-I", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
    ] {
        let server = origin([Answer::ThenSilence(text.into())]);
        server.get(flags).run().exits(0).prints("");
    }
}

#[test]
fn endless_header_exits_63() {
    for (begin, over_and_over) in [
        ("HTTP/1.1 200 OK\r\nA: ", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        ("HTTP/1.1 200 OK\r\n", "A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", "xxxxxxxxxxxxxxxxxxxxxxx"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "A: bbbbbbbbbbbbbb\r\n"),
    ] {
        let text = format!("{begin}{}", over_and_over.repeat(20_000));
        origin([text]).get("").run().exits(63).prints("").fails_at("receive");
    }
    let server = origin([Answer::Endless(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())]);
    server.get("").run().exits(63);
    let small = origin([format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(1000))]);
    small.get("--max-header 512").run().exits(63).logs("--max-header SIZE");
    small.get("").run().exits(0);
}

#[test]
fn http09_and_lenient_accept_what_is_refused_by_default() {
    let old = origin(["<html>hello</html>"]);
    old.get("").run().exits(8).prints("");
    old.get("--http0.9").run().exits(0).prints("<html>hello</html>");
    let malformed = origin(["HTTP/1.1  200 OK\r\nno colon\r\nContent-Length : 5\r\n\r\nhello"]);
    malformed.get("").run().exits(8);
    malformed.get("--lenient").run().exits(0).prints("hello");
    let contradictory =
        origin(["HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"]);
    contradictory.get("--lenient").run().exits(8);
}

#[test]
fn hint_names_flag_that_accepts_answer() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunked = format!("{ok}Transfer-Encoding: chunked\r\n\r\n");
    let gzip = format!("{ok}Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello");
    for (answer, code, flag) in [
        ("HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello".to_string(), 8, "--lenient"),
        (format!("{ok}no colon\r\nContent-Length: 5\r\n\r\nhello"), 8, "--lenient"),
        (format!("{ok}Content-Length : 5\r\n\r\nhello"), 8, "--lenient"),
        (format!("{ok} A: b\r\nContent-Length: 5\r\n\r\nhello"), 8, "--lenient"),
        (format!("{chunked}5\nhello\r\n0\r\n\r\n"), 8, "--lenient"),
        (format!("{chunked}5\r\nhello\n0\r\n\r\n"), 8, "--lenient"),
        (format!("{chunked}5;\r\nhello\r\n0\r\n\r\n"), 8, "--lenient"),
        (gzip, 61, "--no-decode"),
        ("hello".to_string(), 8, "--http0.9"),
    ] {
        let server = origin([answer.as_bytes()]);
        server.get("").run().exits(code).fails_at("receive").logs(&format!("hint: {flag} "));
        let run = server.get(flag).run();
        assert!(run.exits(0).text().ends_with("hello"), "{answer:?}");
    }
    for answer in ["HTTP/1.1 xx OK\r\n\r\n".to_string(), format!("{chunked}x\r\n")] {
        origin([answer.as_bytes()]).get("").run().exits(8).never_logs("hint:");
    }
    origin(["hello"]).get("-I").run().exits(8).never_logs("hint:");
}

#[test]
fn raw_prints_the_received_bytes() {
    let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let run = origin([text]).get("--raw").run();
    run.exits(0).prints(text).logs_nothing();
    let unknown = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gobbledigook\r\n\r\nhello";
    origin([unknown]).get("--raw").run().exits(0).prints(unknown).logs("warning");
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello";
    origin([cut]).get("--raw").run().exits(18).prints(cut);
}

#[test]
fn control_characters_of_the_header_are_escaped() {
    let server = origin(["HTTP/1.1 200 O\x1b[31mK\r\nX: \x1b]0;title\x07\r\n\r\nhello"]);
    let run = server.get("").run();
    run.exits(0).prints("hello").logs(r"HTTP/1.1 200 O\x1b[31mK").logs(r"X: \x1b]0;title\x07");
    assert!(!run.stderr.contains('\x1b'));
}

#[test]
fn interim_responses_beyond_the_limits_exit_63() {
    let interim = |size: usize| format!("HTTP/1.1 103 Soon\r\nA: {}\r\n\r\n", "x".repeat(size));
    let large = origin([interim(100_000).repeat(3)]).get("-q").run();
    large.exits(63).logs("interim responses larger than the limit of 262144 bytes");
    origin([interim(1).repeat(21)])
        .get("-q")
        .run()
        .exits(63)
        .logs("more than 20 interim responses");
}
