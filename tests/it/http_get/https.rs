//! https: how the end of a TLS stream ends a transfer.

use std::time::Duration;

use crate::support::certificates::Authority;
use crate::support::origin::{ok, origin, to};
use crate::support::peer::{Script, peer};
use crate::support::process::Daemon;
use crate::support::sockit::{Sockit, sockit};

/// A sockit that sends `answer` over TLS, with its fingerprint.
fn https(answer: &[u8], ends: bool) -> (Daemon, String) {
    let mut server = sockit("tcp-server --tls --service pipe --once").stdin_open().serve();
    server.wait_for_log("SHA-256: ");
    let log = String::from_utf8(server.stderr.bytes()).expect("text");
    let pin = log.lines().find_map(|line| line.split_once("SHA-256: ")).expect("a fingerprint");
    let pin = pin.1.trim().to_string();
    server.write_stdin(answer);
    if ends {
        server.close_stdin();
    }
    (server, pin)
}

fn get(server: &Daemon, pin: &str, flags: &str) -> Sockit {
    let url = format!("https://127.0.0.1:{}/x", server.port());
    sockit("http-get -q").and(flags).arg("--pin").arg(pin).arg(url)
}

#[test]
fn body_to_end_of_stream_requires_close_notify() {
    let (server, pin) = https(b"HTTP/1.1 200 OK\r\n\r\nhello", true);
    get(&server, &pin, "").run().exits(0).prints("hello");
    let (server, pin) = https(b"HTTP/1.1 200 OK\r\n\r\nhello", false);
    let run = get(&server, &pin, "").start();
    run.wait_for_output("hello");
    // Closing with unread data resets the connection.
    server.wait_for_output("\r\n\r\n");
    server.signal(9);
    run.wait().exits(18).prints("hello").logs("close_notify").fails_at("receive");
}

#[test]
fn allow_truncation_accepts_a_body_without_close_notify() {
    let (server, pin) = https(b"HTTP/1.1 200 OK\r\n\r\nhello", false);
    let run = get(&server, &pin, "--allow-truncation").start();
    run.wait_for_output("hello");
    server.wait_for_output("\r\n\r\n");
    server.signal(9);
    run.wait().exits(0).prints("hello").logs_nothing();
    let (server, pin) = https(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", false);
    let run = get(&server, &pin, "--allow-truncation").start();
    run.wait_for_output("hello");
    server.wait_for_output("\r\n\r\n");
    server.signal(9);
    run.wait().exits(18).fails_at("receive");
}

#[test]
fn body_of_known_length_requires_no_close_notify() {
    let (server, pin) = https(&ok("hello"), false);
    get(&server, &pin, "").run().exits(0).prints("hello");
}

#[test]
fn untrusted_certificate_exits_60() {
    let (server, _) = https(&ok("hello"), true);
    let url = format!("https://127.0.0.1:{}/x", server.port());
    sockit("http-get").arg(url).run().exits(60).prints("").fails_at("tls");
    let plain = peer(|mut stream| {
        stream.send("HTTP/1.1 400 Bad Request\r\n\r\n");
        stream.half_close();
        stream.read_all()
    });
    sockit("http-get").arg(format!("https://{}/", plain.addr())).run().exits(35).fails_at("tls");
}

#[test]
fn redirect_from_https_to_http_requires_allow_downgrade() {
    let plain = origin([ok("in the clear")]);
    let (server, pin) = https(&to(&plain.url("/")), true);
    get(&server, &pin, "").run().exits(47).prints("").logs("--allow-downgrade");
    let (server, pin) = https(&to(&plain.url("/")), true);
    get(&server, &pin, "--allow-downgrade").run().exits(0).prints("in the clear");
}

#[test]
fn timeouts_apply_to_a_tls_stream() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello";
    let (server, pin) = https(cut, false);
    let run = get(&server, &pin, "--idle-timeout 2s").run();
    run.exits(28).prints("hello").logs("got 5 of 9").fails_at("receive");
    let (server, pin) = https(cut, false);
    let run = get(&server, &pin, "--timeout 3").run();
    run.exits(28).prints("hello").fails_at("receive");
    assert!(run.took >= Duration::from_secs(3), "{:?}", run.took);
}

#[test]
fn server_name_and_client_certificate_stay_with_the_first_origin() {
    let authority = Authority::new();
    let (theirs, ours) = (authority.certificate(&["a.example"]), authority.certificate(&["me"]));
    for (flags, code) in [("", 0), ("--client-ca", 35)] {
        let mut other = sockit("tcp-server --tls --service pipe --cert");
        other = other.arg(authority.certificate(&["localhost"])).stdin(ok("elsewhere"));
        if !flags.is_empty() {
            other = other.arg(flags).arg(authority.ca());
        }
        let other = other.serve();
        let home = sockit("tcp-server --tls --service pipe --once --cert").arg(&theirs);
        let home = home.arg("--client-ca").arg(authority.ca());
        let home = home.stdin(to(&format!("https://localhost:{}/", other.port()))).serve();
        let run = sockit("http-get -q --server-name a.example --ca-file").arg(authority.ca());
        let url = format!("https://127.0.0.1:{}/", home.port());
        run.arg("--cert").arg(&ours).arg(url).run().exits(code);
    }
}
