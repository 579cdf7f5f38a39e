//! TLS between tcp-client and tcp-server: verification, messages and the end of the stream.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::certificates::Authority;
use crate::support::peer::{self, Script};
use crate::support::process::Daemon;
use crate::support::sockit::{Sockit, sockit};
use crate::support::wait_until;

/// An echo server with this certificate.
fn echo(certificate: &std::path::Path) -> Daemon {
    sockit("tcp-server --service echo --tls --cert").arg(certificate).serve()
}

/// A client that sends `hello` to it, under the name of the certificate.
fn hello(server: &Daemon) -> Sockit {
    sockit("tcp-client --tls localhost").arg(server.port().to_string()).stdin("hello")
}

/// The fingerprint in the log of a server.
fn pin(server: &Daemon) -> String {
    let log = String::from_utf8_lossy(&server.stderr.bytes()).into_owned();
    let pin = log.lines().find_map(|line| line.split_once("SHA-256: ")).expect("a fingerprint");
    pin.1.trim().to_string()
}

#[test]
fn generated_certificate_is_trusted_by_its_pin() {
    let server = sockit("tcp-server --service echo --tls").serve();
    let pin = pin(&server);
    let client = |pin: &str| sockit("tcp-client --tls").to(server.addr()).and("--pin").arg(pin);
    client(&pin).stdin("hello").run().exits(0).prints("hello").logs_nothing();
    let colons: Vec<&str> = (0..32).map(|at| &pin[2 * at..2 * at + 2]).collect();
    client(&colons.join(":").to_uppercase()).stdin("x").run().exits(0).prints("x");
    let wrong = client(&"ab".repeat(32)).stdin("hello").run();
    wrong.exits(60).fails_at("tls").logs(&pin).prints("");
    client("abc").run().exits(2);
    let unknown = sockit("tcp-client --tls").to(server.addr()).stdin("hello").run();
    unknown.exits(60).fails_at("tls").logs("self-signed");
}

#[test]
fn certificate_event_has_the_fingerprint() {
    let server = sockit("tcp-server --service echo --tls --json --once").serve();
    let log = String::from_utf8_lossy(&server.stderr.bytes()).into_owned();
    let event: serde_json::Value =
        log.lines().find_map(|line| serde_json::from_str(line).ok()).expect("an event");
    assert_eq!(event["event"], "certificate");
    let pin = event["sha256"].as_str().expect("a fingerprint");
    let client = sockit("tcp-client --tls --pin").arg(pin).to(server.addr());
    client.stdin("hello").run().exits(0).prints("hello");
    server.wait().exits(0);
}

#[test]
fn ca_file_is_trusted_for_the_names_it_signed() {
    let authority = Authority::new();
    let server = echo(&authority.certificate(&["localhost"]));
    let run = hello(&server).and("--ca-file").arg(authority.ca()).and("--json").run();
    run.exits(0).prints("hello");
    assert_eq!(run.events_named("connected")[0]["peer_name"], "localhost");
    // SSL_CERT_FILE replaces the system's roots.
    let roots = authority.ca();
    let by_environment = hello(&server).env("SSL_CERT_FILE", roots.to_str().expect("UTF-8"));
    by_environment.run().exits(0).prints("hello");
    let by_address = sockit("tcp-client --tls").to(server.addr()).and("--ca-file");
    let wrong = by_address.arg(authority.ca()).stdin("hello").run();
    wrong.exits(60).fails_at("tls").logs("localhost").logs("127.0.0.1").logs("wrong name");
    let renamed = sockit("tcp-client --tls --server-name localhost").to(server.addr());
    renamed.and("--ca-file").arg(authority.ca()).stdin("hello").run().exits(0).prints("hello");
}

#[test]
fn pin_is_required_beside_a_ca_file() {
    let authority = Authority::new();
    let server = echo(&authority.certificate(&["localhost"]));
    let wrong = "00".repeat(32);
    let run = hello(&server).and("--pin").arg(wrong).and("--ca-file").arg(authority.ca()).run();
    run.exits(60).fails_at("tls").logs("not the pinned one");
}

#[test]
fn invalid_certificate_exits_60_with_its_reason() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let year = |from: i32, to: i32| {
        move |params: &mut rcgen::CertificateParams| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
        }
    };
    for (certificate, reason) in [
        (authority.certificate_with(&["localhost"], year(2000, 2001)), "expired"),
        (authority.certificate_with(&["localhost"], year(2200, 2201)), "not yet valid"),
        (authority.certificate(&["elsewhere.example"]), "wrong name"),
        (stranger.certificate(&["localhost"]), "unknown issuer"),
        (authority.self_signed(&["localhost"]), "self-signed"),
    ] {
        let server = echo(&certificate);
        let refused = hello(&server).and("--ca-file").arg(authority.ca()).run();
        refused.exits(60).fails_at("tls").logs(reason).prints("");
        let insecure = hello(&server).and("--insecure --ca-file").arg(authority.ca()).run();
        insecure.exits(0).prints("hello").logs("warning").logs(reason);
    }
}

#[test]
fn self_signed_certificate_is_trusted_as_ca_file() {
    let authority = Authority::new();
    let certificate = authority.self_signed(&["localhost"]);
    let server = echo(&certificate);
    hello(&server).and("--ca-file").arg(&certificate).run().exits(0).prints("hello");
    let elsewhere = sockit("tcp-client --tls --server-name elsewhere.example --ca-file");
    let wrong = elsewhere.arg(&certificate).to(server.addr()).stdin("hello").run();
    wrong.exits(60).logs("wrong name").logs("elsewhere.example").logs("localhost");
}

#[test]
fn missing_or_malformed_pem_file_exits_26() {
    let authority = Authority::new();
    let empty = authority.file("empty");
    std::fs::write(&empty, "nothing").expect("a file");
    for flag in ["--ca-file", "--cert"] {
        for path in ["/no/such/file".as_ref(), empty.as_path()] {
            let run = sockit("tcp-client --tls localhost 9").arg(flag).arg(path).run();
            run.exits(26).fails_at("file").logs(path.to_str().expect("UTF-8"));
        }
    }
    for (text, why) in [("abc", "does not end"), ("MIIB!\n-----END CERTIFICATE-----", "base64")] {
        std::fs::write(&empty, format!("-----BEGIN CERTIFICATE-----\n{text}\n")).expect("a file");
        let run = sockit("tcp-client --tls localhost 9 --ca-file").arg(&empty).run();
        run.exits(26)
            .fails_at("file")
            .logs("not a PEM file")
            .logs(why)
            .never_logs("(")
            .never_logs("[");
    }
    let foreign = authority.certificate(&["other"]);
    let mixed = sockit("tcp-server --tls --port 0 --cert").arg(authority.ca());
    mixed.and("--key").arg(foreign).run().exits(26).fails_at("file");
    sockit("tcp-client --insecure localhost 9").run().exits(2).logs("--tls");
}

#[test]
fn client_ca_requires_a_client_certificate() {
    let authority = Authority::new();
    let certificate = authority.certificate(&["localhost"]);
    let server = sockit("tcp-server --reply '{peer_name}: {message}' --tls --client-ca")
        .arg(authority.ca())
        .and("--cert")
        .arg(&certificate)
        .serve();
    let hello = || hello(&server).and("--ca-file").arg(authority.ca());
    let none = hello().run();
    none.exits(35).fails_at("tls").logs("certificate").prints("");
    let stranger = hello().and("--cert").arg(Authority::new().certificate(&["eve.example"])).run();
    stranger.exits(35).fails_at("tls").prints("");
    let known = hello().and("--cert").arg(authority.certificate(&["alice.example"])).run();
    known.exits(0).prints("alice.example: hello");
}

#[test]
fn client_auth_optional_accepts_clients_without_certificate() {
    let authority = Authority::new();
    let server = sockit("tcp-server --reply '<{peer_name}>{message}' --tls --client-auth optional")
        .and("--client-ca")
        .arg(authority.ca())
        .and("--cert")
        .arg(authority.certificate(&["localhost"]))
        .serve();
    let hello = || hello(&server).and("--ca-file").arg(authority.ca());
    hello().run().exits(0).prints("<>hello");
    let certificate = authority.certificate(&["alice.example"]);
    hello().and("--cert").arg(&certificate).run().exits(0).prints("<alice.example>hello");
}

#[test]
fn verbose_logs_version_cipher_protocol_and_names() {
    let authority = Authority::new();
    let server = sockit("tcp-server --service echo --tls --alpn two,one -v --cert")
        .arg(authority.certificate(&["localhost", "other.example"]))
        .serve();
    let run = hello(&server).and("-v --alpn one --alpn three --ca-file").arg(authority.ca()).run();
    run.exits(0).logs("TLSv1.3").logs("AES_128_GCM").logs("ALPN one");
    run.logs("localhost, other.example").logs("test authority").logs("valid from");
    server.wait_for_log("ALPN one");
    let strangers = hello(&server).and("--alpn three --ca-file").arg(authority.ca()).run();
    strangers.exits(35).fails_at("tls").logs("alpn");
}

#[test]
fn sslkeylogfile_receives_the_session_keys() {
    let authority = Authority::new();
    let (ours, theirs) = (authority.file("ours"), authority.file("theirs"));
    let server = sockit("tcp-server --service echo --once --tls --cert")
        .arg(authority.certificate(&["localhost"]))
        .env("SSLKEYLOGFILE", theirs.to_str().expect("UTF-8"))
        .serve();
    let client = hello(&server).and("--ca-file").arg(authority.ca());
    client.env("SSLKEYLOGFILE", ours.to_str().expect("UTF-8")).run().exits(0);
    server.wait().exits(0);
    for path in [ours, theirs] {
        let keys = std::fs::read_to_string(path).expect("a key log");
        assert!(keys.contains("CLIENT_TRAFFIC_SECRET_0"), "{keys}");
    }
}

#[test]
fn plain_text_to_a_tls_port_fails_on_both_sides() {
    let server = sockit("tcp-server --service echo --tls").serve();
    let plain = sockit("tcp-client").to(server.addr()).stdin("hello\n").run();
    plain.exits(35).fails_at("tls").logs("hint:").logs("--tls");
    let script = sockit("tcp-client --send hello").to(server.addr()).run();
    script.exits(35).logs("hint:");
    server.wait_for_log("does not speak TLS: it sends 'hello");
    server.wait_for_log("hint:");
    let pin = pin(&server);
    let client = sockit("tcp-client --tls --pin").arg(pin).to(server.addr()).stdin("still here");
    client.run().exits(0).prints("still here");
}

#[test]
fn tls_to_a_plain_port_fails_on_both_sides() {
    for service in ["hello", "echo", "time"] {
        let server = sockit("tcp-server --service").arg(service).serve();
        let run = sockit("tcp-client --tls --insecure").to(server.addr()).stdin("x").run();
        run.exits(35).fails_at("tls").prints("");
        server.wait_for_log("speaks TLS to a port without TLS");
        sockit("tcp-client --hang-up").to(server.addr()).run().exits(0);
    }
}

#[test]
fn stream_truncated_without_close_notify_exits_18() {
    let authority = Authority::new();
    let server = sockit("tcp-server --tls --service pipe --once --cert")
        .arg(authority.certificate(&["localhost"]))
        .stdin_open()
        .serve();
    // A relay that closes in the middle of the stream.
    let relay = peer::peer({
        let to = server.addr();
        move |near| {
            let far = peer::connect(to);
            let mut up = (near.try_clone().expect("a handle"), far.try_clone().expect("a handle"));
            std::thread::spawn(move || std::io::copy(&mut up.0, &mut up.1));
            let mut down = (far, near);
            let mut seen = 0;
            let mut piece = [0; 4096];
            while seen < 3000 {
                let n = down.0.read(&mut piece).expect("bytes");
                down.1.write_all(&piece[..n]).expect("a reader");
                seen += n;
            }
            let _ = down.1.shutdown(Shutdown::Both);
        }
    });
    let client = sockit("tcp-client --tls --server-name localhost --ca-file").arg(authority.ca());
    let client = client.to(relay.addr()).stdin_open().start();
    let mut server = server;
    server.write_stdin(vec![b'x'; 60_000]);
    let run = client.wait();
    run.exits(18).fails_at("receive").logs("close_notify");
}

#[test]
fn peer_that_closes_during_the_handshake_ended_the_connection() {
    for begin in ["", "\u{16}\u{3}\u{1}"] {
        let server = sockit("tcp-server --service echo --tls --json").serve();
        let mut client = peer::connect(server.addr());
        client.send(begin);
        client.shutdown(Shutdown::Write).expect("a connection");
        server.wait_for_log("\"ended_by\":\"peer\"");
        server.wait_for_log("ended the connection during the handshake");
    }
}

#[test]
fn shutdown_ends_an_unfinished_handshake_without_an_error() {
    let server = sockit("tcp-server --service echo --tls --json").serve();
    let mut clients = [peer::connect(server.addr()), peer::connect(server.addr())];
    clients[1].send("\u{16}\u{3}\u{1}");
    server.wait_for_log_times("\"accepted\"", 2);
    let run = server.stop();
    run.exits(0);
    assert!(run.events_named("error").is_empty(), "{}", run.stderr);
    let closed = run.events_named("closed");
    assert_eq!(closed.len(), 2);
    assert!(closed.iter().all(|event| event["ended_by"] == "signal"), "{closed:?}");
}

/// Clients whose handshake fails: no data, plain text, and a reset.
fn scan(server: &Daemon) {
    drop(peer::connect(server.addr()));
    let mut plain = peer::connect(server.addr());
    plain.send("GET / HTTP/1.0\r\n\r\n");
    let _ = plain.read_to_end(&mut Vec::new());
    let mut begun = peer::connect(server.addr());
    begun.send(b"\x16\x03\x01\x02\x00\x01");
    begun.reset();
}

#[test]
fn failed_handshake_does_not_count() {
    let counts = [("--once", 1), ("--max-accepts 1", 1), ("--max-accepts 2", 2)];
    for (flag, clients) in counts {
        let server = sockit("tcp-server --service echo --tls").and(flag).serve();
        let pin = pin(&server);
        for _ in 0..clients {
            scan(&server);
            let client = sockit("tcp-client --tls --pin").arg(&pin).to(server.addr());
            client.stdin("served").run().exits(0).prints("served");
        }
        let run = server.wait();
        run.exits(0).logs("does not speak TLS");
    }
}

#[test]
fn unfinished_handshake_keeps_its_place_until_it_fails() {
    let server = sockit("tcp-server --service echo --tls --once --json").serve();
    let silent = peer::connect(server.addr());
    server.wait_for_log_times("\"event\":\"accepted\"", 1);
    let mut client =
        sockit("tcp-client --tls --insecure -q").to(server.addr()).stdin_open().start();
    client.write_stdin("second");
    // If it were accepted concurrently, both handshakes could succeed.
    drop(silent);
    client.wait_for_output("second");
    client.close_stdin();
    client.wait().exits(0);
    let run = server.wait();
    run.exits(0);
    let conns: Vec<_> = run.events().into_iter().map(|event| event["conn"].as_u64()).collect();
    let of = |conn| conns.iter().position(|seen| *seen == Some(conn));
    let closed = run.events().iter().position(|event| event["event"] == "closed");
    assert!(of(2) > closed, "the second is accepted after the first is closed: {}", run.stderr);
}

#[test]
fn handshake_that_is_complete_ends_the_accepting() {
    let server = sockit("tcp-server --service echo --tls --once").serve();
    let mut client =
        sockit("tcp-client --tls --insecure -q").to(server.addr()).stdin_open().start();
    client.write_stdin("first");
    client.wait_for_output("first");
    wait_until("the listener is closed", || TcpStream::connect(server.addr()).is_err());
    client.close_stdin();
    client.wait().exits(0).prints("first");
    server.wait().exits(0);
}

/// Connects, and sends a request after SIGTERM; `None` when this machine was too busy to do so in the
/// time that a new connection has.
fn request_after_sigterm() -> Option<String> {
    let server = sockit("tcp-server --service ack --tls --grace 10s").serve();
    let client = sockit("tcp-client --tls --insecure -v").to(server.addr());
    let mut client = client.stdin_open().start();
    client.wait_for_log("Connected to");
    server.wait_for_log("Accept new connection");
    let asked = Instant::now();
    server.signal(libc::SIGTERM);
    client.write_stdin("question");
    client.close_stdin();
    let run = client.wait();
    let in_time = asked.elapsed() < Duration::from_millis(280);
    server.wait();
    in_time.then(|| run.text())
}

#[test]
fn request_after_a_new_handshake_is_answered_after_sigterm() {
    let answer = (0..20).find_map(|_| request_after_sigterm());
    assert_eq!(answer.expect("one try in time"), "已接收到数据 question");
}

#[test]
fn world_readable_key_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let authority = Authority::new();
    let path = authority.certificate(&["localhost"]);
    for (mode, warns) in [(0o644, true), (0o604, true), (0o600, false), (0o640, false)] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        for key in ["--cert", "--key"] {
            let mut server = sockit("tcp-server --port 0 --accept-timeout 1ms --tls --cert");
            server = server.arg(&path);
            server = if key == "--key" { server.and("--key").arg(&path) } else { server };
            let run = server.run();
            run.exits(28);
            let warned = run.stderr.contains("every user can read the key");
            assert_eq!(warned, warns, "{mode:o} {key}: {}", run.stderr);
        }
        let client =
            sockit("tcp-client --tls --cert").arg(&path).to(peer::closes_immediately().addr());
        let warned = client.run().stderr.contains("every user can read the key");
        assert_eq!(warned, warns, "{mode:o}");
    }
}

#[test]
fn silent_tls_peer_exits_28_at_the_connect_timeout() {
    let silent = peer::peer(|mut stream| stream.wait_for_close());
    let run = sockit("tcp-client --tls --connect-timeout 700ms").to(silent.addr()).run();
    run.exits(28).fails_at("tls").logs("timed out after 700ms");
    assert!(run.took >= Duration::from_millis(700), "{:?}", run.took);
}

#[test]
fn stalled_handshakes_do_not_delay_others() {
    let server = sockit("tcp-server --service echo --tls").serve();
    let pin = pin(&server);
    let stalled: Vec<TcpStream> = (0..20)
        .map(|n| {
            let mut stream = peer::connect(server.addr());
            stream.send(&b"\x16\x03\x01\x02\x00\x01"[..n % 7]);
            stream
        })
        .collect();
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let client = sockit("tcp-client --tls --pin").arg(&pin).to(server.addr());
            client.stdin("beside").start()
        })
        .collect();
    for client in clients {
        client.wait().exits(0).prints("beside");
    }
    server.stop().exits(0);
    drop(stalled);
}

/// Our close_notify follows the peer's: neither side sees a truncated stream.
#[test]
fn null_stdin_half_closes_tls_after_the_peer() {
    for flags in ["", "--recv-only"] {
        let server = sockit("tcp-server --tls --service pipe --once").and(flags).serve();
        let client = sockit("tcp-client --tls --pin").arg(pin(&server)).to(server.addr());
        client.stdin("to the server").run().exits(0).prints("").logs_nothing();
        server.wait().exits(0).prints("to the server");

        let server = sockit("tcp-server --tls --service pipe --once").stdin("to us").serve();
        let client = sockit("tcp-client --tls --pin").arg(pin(&server)).to(server.addr());
        client.and(flags).run().exits(0).prints("to us").logs_nothing();
        server.wait().exits(0).prints("");
    }
}

#[test]
fn mebibyte_after_each_half_close_is_delivered() {
    let answer: Vec<u8> = (0..=250).cycle().take(1 << 20).collect();
    let server = sockit("tcp-server --tls --service pipe --once").stdin(&answer).serve();
    let pin = pin(&server);
    let client = sockit("tcp-client --tls --pin").arg(&pin).to(server.addr());
    let run = client.stdin("first and done").run();
    run.exits(0);
    assert!(run.stdout == answer);
    server.wait().exits(0).prints("first and done");

    let mut server = sockit("tcp-server --tls --service pipe --once").stdin_open().serve();
    let pin = self::pin(&server);
    server.close_stdin();
    let mut client =
        sockit("tcp-client -v --tls --pin").arg(pin).to(server.addr()).stdin_open().start();
    client.wait_for_log("the peer sends no more");
    client.write_stdin(&answer);
    client.close_stdin();
    client.wait().exits(0).prints("");
    let run = server.wait();
    run.exits(0);
    assert!(run.stdout == answer, "{} bytes", run.stdout.len());
}
