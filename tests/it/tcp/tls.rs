//! TLS between our own pair: who is believed, what is told, and how it ends.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::certificates::Authority;
use crate::support::peer::{self, Script};
use crate::support::process::Daemon;
use crate::support::sockit::{Sockit, sockit};

/// An echo server with this paper.
fn echo(paper: &std::path::Path) -> Daemon {
    sockit("tcp-server --service echo --tls --cert").arg(paper).serve()
}

/// A client that says hello to it, as the certificate wants to be called.
fn hello(server: &Daemon) -> Sockit {
    sockit("tcp-client --tls localhost").arg(server.port().to_string()).stdin("hello")
}

/// The fingerprint a server told.
fn pin(server: &Daemon) -> String {
    let told = String::from_utf8_lossy(&server.stderr.bytes()).into_owned();
    let pin = told.lines().find_map(|line| line.split_once("SHA-256: ")).expect("a fingerprint");
    pin.1.trim().to_string()
}

#[test]
fn a_throw_away_certificate_is_good_for_who_knows_its_fingerprint() {
    let server = sockit("tcp-server --service echo --tls").serve();
    let pin = pin(&server);
    let client = |pin: &str| sockit("tcp-client --tls").to(server.addr()).and("--pin").arg(pin);
    client(&pin).stdin("hello").run().exits(0).prints("hello").is_silent();
    let colons: Vec<&str> = (0..32).map(|at| &pin[2 * at..2 * at + 2]).collect();
    client(&colons.join(":").to_uppercase()).stdin("x").run().exits(0).prints("x");
    let wrong = client(&"ab".repeat(32)).stdin("hello").run();
    wrong.exits(60).fails_at("tls").says(&pin).prints("");
    client("abc").run().exits(2);
    let unknown = sockit("tcp-client --tls").to(server.addr()).stdin("hello").run();
    unknown.exits(60).fails_at("tls").says("self-signed");
}

#[test]
fn the_fingerprint_is_an_event() {
    let server = sockit("tcp-server --service echo --tls --json --once").serve();
    let told = String::from_utf8_lossy(&server.stderr.bytes()).into_owned();
    let event: serde_json::Value =
        told.lines().find_map(|line| serde_json::from_str(line).ok()).expect("an event");
    assert_eq!(event["event"], "certificate");
    let pin = event["sha256"].as_str().expect("a fingerprint");
    let client = sockit("tcp-client --tls --pin").arg(pin).to(server.addr());
    client.stdin("hello").run().exits(0).prints("hello");
    server.wait().exits(0);
}

#[test]
fn an_authority_is_believed_for_the_names_it_signed() {
    let authority = Authority::new();
    let server = echo(&authority.paper(&["localhost"]));
    let run = hello(&server).and("--ca-file").arg(authority.ca()).and("--json").run();
    run.exits(0).prints("hello");
    assert_eq!(run.events_named("connected")[0]["peer_name"], "localhost");
    // SSL_CERT_FILE takes the place of the system's roots.
    let roots = authority.ca();
    let by_environment = hello(&server).env("SSL_CERT_FILE", roots.to_str().expect("UTF-8"));
    by_environment.run().exits(0).prints("hello");
    let by_address = sockit("tcp-client --tls").to(server.addr()).and("--ca-file");
    let wrong = by_address.arg(authority.ca()).stdin("hello").run();
    wrong.exits(60).fails_at("tls").says("localhost").says("127.0.0.1").says("wrong name");
    let renamed = sockit("tcp-client --tls --server-name localhost").to(server.addr());
    renamed.and("--ca-file").arg(authority.ca()).stdin("hello").run().exits(0).prints("hello");
}

#[test]
fn a_pin_is_needed_even_beside_an_authority() {
    let authority = Authority::new();
    let server = echo(&authority.paper(&["localhost"]));
    let wrong = "00".repeat(32);
    let run = hello(&server).and("--pin").arg(wrong).and("--ca-file").arg(authority.ca()).run();
    run.exits(60).fails_at("tls").says("not the pinned one");
}

#[test]
fn each_bad_certificate_has_its_own_reason() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let year = |from: i32, to: i32| {
        move |params: &mut rcgen::CertificateParams| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
        }
    };
    for (paper, reason) in [
        (authority.paper_with(&["localhost"], year(2000, 2001)), "expired"),
        (authority.paper_with(&["localhost"], year(2200, 2201)), "not yet valid"),
        (authority.paper(&["elsewhere.example"]), "wrong name"),
        (stranger.paper(&["localhost"]), "unknown issuer"),
        (authority.self_signed(&["localhost"]), "self-signed"),
    ] {
        let server = echo(&paper);
        let refused = hello(&server).and("--ca-file").arg(authority.ca()).run();
        refused.exits(60).fails_at("tls").says(reason).prints("");
        let anyhow = hello(&server).and("--insecure --ca-file").arg(authority.ca()).run();
        anyhow.exits(0).prints("hello").says("warning").says(reason);
    }
}

#[test]
fn a_self_signed_certificate_may_be_its_own_authority() {
    let authority = Authority::new();
    let paper = authority.self_signed(&["localhost"]);
    let server = echo(&paper);
    hello(&server).and("--ca-file").arg(&paper).run().exits(0).prints("hello");
    let elsewhere = sockit("tcp-client --tls --server-name elsewhere.example --ca-file");
    let wrong = elsewhere.arg(&paper).to(server.addr()).stdin("hello").run();
    wrong.exits(60).says("wrong name").says("elsewhere.example").says("localhost");
}

#[test]
fn files_that_are_not_there_or_not_what_they_should_be_are_26() {
    let authority = Authority::new();
    let empty = authority.file("empty");
    std::fs::write(&empty, "nothing").expect("a file");
    for flag in ["--ca-file", "--cert"] {
        for path in ["/no/such/file".as_ref(), empty.as_path()] {
            let run = sockit("tcp-client --tls localhost 9").arg(flag).arg(path).run();
            run.exits(26).fails_at("file").says(path.to_str().expect("UTF-8"));
        }
    }
    for (text, why) in [("abc", "does not end"), ("MIIB!\n-----END CERTIFICATE-----", "base64")] {
        std::fs::write(&empty, format!("-----BEGIN CERTIFICATE-----\n{text}\n")).expect("a file");
        let run = sockit("tcp-client --tls localhost 9 --ca-file").arg(&empty).run();
        run.exits(26)
            .fails_at("file")
            .says("not a PEM file")
            .says(why)
            .never_says("(")
            .never_says("[");
    }
    let foreign = authority.paper(&["other"]);
    let mixed = sockit("tcp-server --tls --port 0 --cert").arg(authority.ca());
    mixed.and("--key").arg(foreign).run().exits(26).fails_at("file");
    sockit("tcp-client --insecure localhost 9").run().exits(2).says("--tls");
}

#[test]
fn a_client_may_have_to_show_a_certificate() {
    let authority = Authority::new();
    let paper = authority.paper(&["localhost"]);
    let server = sockit("tcp-server --reply '{peer_name} says {message}' --tls --client-ca")
        .arg(authority.ca())
        .and("--cert")
        .arg(&paper)
        .serve();
    let hello = || hello(&server).and("--ca-file").arg(authority.ca());
    let none = hello().run();
    none.exits(35).fails_at("tls").says("certificate").prints("");
    let stranger = hello().and("--cert").arg(Authority::new().paper(&["eve.example"])).run();
    stranger.exits(35).fails_at("tls").prints("");
    let known = hello().and("--cert").arg(authority.paper(&["alice.example"])).run();
    known.exits(0).prints("alice.example says hello");
}

#[test]
fn a_certificate_may_be_optional() {
    let authority = Authority::new();
    let server = sockit("tcp-server --reply '<{peer_name}>{message}' --tls --client-auth optional")
        .and("--client-ca")
        .arg(authority.ca())
        .and("--cert")
        .arg(authority.paper(&["localhost"]))
        .serve();
    let hello = || hello(&server).and("--ca-file").arg(authority.ca());
    hello().run().exits(0).prints("<>hello");
    let paper = authority.paper(&["alice.example"]);
    hello().and("--cert").arg(&paper).run().exits(0).prints("<alice.example>hello");
}

#[test]
fn the_steps_tell_version_cipher_protocol_and_names() {
    let authority = Authority::new();
    let server = sockit("tcp-server --service echo --tls --alpn two,one -v --cert")
        .arg(authority.paper(&["localhost", "other.example"]))
        .serve();
    let run = hello(&server).and("-v --alpn one --alpn three --ca-file").arg(authority.ca()).run();
    run.exits(0).says("TLSv1.3").says("AES_128_GCM").says("ALPN one");
    run.says("localhost, other.example").says("test authority").says("valid from");
    server.wait_to_say("ALPN one");
    let strangers = hello(&server).and("--alpn three --ca-file").arg(authority.ca()).run();
    strangers.exits(35).fails_at("tls").says("alpn");
}

#[test]
fn keys_are_logged_only_where_the_environment_says() {
    let authority = Authority::new();
    let (ours, theirs) = (authority.file("ours"), authority.file("theirs"));
    let server = sockit("tcp-server --service echo --once --tls --cert")
        .arg(authority.paper(&["localhost"]))
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
fn plain_text_on_a_tls_port_fails_at_once_on_both_sides() {
    let server = sockit("tcp-server --service echo --tls").serve();
    let plain = sockit("tcp-client").to(server.addr()).stdin("hello\n").run();
    plain.exits(35).fails_at("tls").says("hint:").says("--tls");
    let script = sockit("tcp-client --send hello").to(server.addr()).run();
    script.exits(35).says("hint:");
    server.wait_to_say("does not speak TLS: it sends 'hello");
    server.wait_to_say("hint:");
    let pin = pin(&server);
    let client = sockit("tcp-client --tls --pin").arg(pin).to(server.addr()).stdin("still here");
    client.run().exits(0).prints("still here");
}

#[test]
fn tls_on_a_plain_port_fails_at_once_on_both_sides() {
    for service in ["hello", "echo", "time"] {
        let server = sockit("tcp-server --service").arg(service).serve();
        let run = sockit("tcp-client --tls --insecure").to(server.addr()).stdin("x").run();
        run.exits(35).fails_at("tls").prints("");
        assert!(run.took < Duration::from_secs(5), "{:?}", run.took);
        server.wait_to_say("speaks TLS to a port without TLS");
        sockit("tcp-client --hang-up").to(server.addr()).run().exits(0);
    }
}

#[test]
fn a_stream_cut_without_goodbye_is_never_whole() {
    let authority = Authority::new();
    let server = sockit("tcp-server --tls --service pipe --once --cert")
        .arg(authority.paper(&["localhost"]))
        .stdin_open()
        .serve();
    // A relay between the two, which cuts.
    let relay = peer::peer({
        let to = server.addr();
        move |near| {
            let far = peer::call(to);
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
    server.type_in(vec![b'x'; 60_000]);
    let run = client.wait();
    run.exits(18).fails_at("receive").says("close_notify");
}

/// Callers whose handshake comes to nothing: silent, plain text, and cut off.
fn scan(server: &Daemon) {
    drop(peer::call(server.addr()));
    let mut plain = peer::call(server.addr());
    plain.say("GET / HTTP/1.0\r\n\r\n");
    let _ = plain.read_to_end(&mut Vec::new());
    let mut begun = peer::call(server.addr());
    begun.say(b"\x16\x03\x01\x02\x00\x01");
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
        run.exits(0).says("does not speak TLS");
    }
}

#[test]
fn unfinished_handshake_keeps_its_place_until_it_fails() {
    let server = sockit("tcp-server --service echo --tls --once --json").serve();
    let silent = peer::call(server.addr());
    server.wait_to_say_times("\"event\":\"accepted\"", 1);
    let mut client =
        sockit("tcp-client --tls --insecure -q").to(server.addr()).stdin_open().start();
    client.type_in("second");
    // Were it accepted beside the first, both handshakes could succeed.
    drop(silent);
    client.wait_to_print("second");
    client.end_stdin();
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
    client.type_in("first");
    client.wait_to_print("first");
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(server.addr()).is_ok() {
        assert!(std::time::Instant::now() < until, "still accepting");
        std::thread::sleep(Duration::from_millis(5));
    }
    client.end_stdin();
    client.wait().exits(0).prints("first");
    server.wait().exits(0);
}

/// Connects, and sends a request after SIGTERM; `None` when this machine was too busy to do so in the
/// time that a new connection has.
fn request_after_sigterm() -> Option<String> {
    let server = sockit("tcp-server --service ack --tls --grace 10s").serve();
    let client = sockit("tcp-client --tls --insecure -v").to(server.addr());
    let mut client = client.stdin_open().start();
    client.wait_to_say("Connected to");
    server.wait_to_say("Accept new connection");
    let asked = std::time::Instant::now();
    server.signal(libc::SIGTERM);
    client.type_in("question");
    client.end_stdin();
    let run = client.wait();
    let in_time = asked.elapsed() < Duration::from_millis(280);
    server.wait();
    in_time.then(|| run.text())
}

#[test]
fn request_behind_a_new_handshake_is_answered_after_sigterm() {
    let answer = (0..20).find_map(|_| request_after_sigterm());
    assert_eq!(answer.expect("one try in time"), "已接收到数据 question");
}

#[test]
fn key_that_every_user_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let authority = Authority::new();
    let path = authority.paper(&["localhost"]);
    for (mode, warns) in [(0o644, true), (0o604, true), (0o600, false), (0o640, false)] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        for key in ["--cert", "--key"] {
            let mut server = sockit("tcp-server --port 0 --accept-timeout 1ms --tls --cert");
            server = server.arg(&path);
            server = if key == "--key" { server.and("--key").arg(&path) } else { server };
            let run = server.run();
            run.exits(28);
            let said = run.stderr.contains("every user can read the key");
            assert_eq!(said, warns, "{mode:o} {key}: {}", run.stderr);
        }
        let client = sockit("tcp-client --tls --cert").arg(&path).to(peer::closes_at_once().addr());
        let said = client.run().stderr.contains("every user can read the key");
        assert_eq!(said, warns, "{mode:o}");
    }
}

fn silence_costs() -> Duration {
    let silent = peer::peer(|mut stream| stream.outlive());
    let run = sockit("tcp-client --tls --connect-timeout 700ms").to(silent.addr()).run();
    run.exits(28).fails_at("tls").says("timed out after 700ms");
    run.took
}

#[test]
fn a_silent_peer_costs_the_limit_and_no_more() {
    // A busy machine may be late once.
    let took: Vec<_> = (0..4).map(|_| silence_costs()).collect();
    assert!(took.iter().any(|took| *took < Duration::from_millis(1150)), "{took:?}");
}

#[test]
fn stalled_handshakes_delay_nobody_and_end_with_the_server() {
    let server = sockit("tcp-server --service echo --tls").serve();
    let pin = pin(&server);
    let stalled: Vec<TcpStream> = (0..20)
        .map(|n| {
            let mut stream = peer::call(server.addr());
            stream.say(&b"\x16\x03\x01\x02\x00\x01"[..n % 7]);
            stream
        })
        .collect();
    let began = Instant::now();
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let client = sockit("tcp-client --tls --pin").arg(&pin).to(server.addr());
            client.stdin("beside").start()
        })
        .collect();
    for client in clients {
        client.wait().exits(0).prints("beside");
    }
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    let run = server.stop();
    run.exits(0);
    assert!(run.took < Duration::from_secs(20));
    drop(stalled);
}

/// close_notify follows the peer's: neither side sees a truncated stream.
#[test]
fn null_stdin_ends_a_tls_session_after_the_peer() {
    for flags in ["", "--recv-only"] {
        let server = sockit("tcp-server --tls --service pipe --once").and(flags).serve();
        let client = sockit("tcp-client --tls --pin").arg(pin(&server)).to(server.addr());
        client.stdin("to the server").run().exits(0).prints("").is_silent();
        server.wait().exits(0).prints("to the server");

        let server = sockit("tcp-server --tls --service pipe --once").stdin("to us").serve();
        let client = sockit("tcp-client --tls --pin").arg(pin(&server)).to(server.addr());
        client.and(flags).run().exits(0).prints("to us").is_silent();
        server.wait().exits(0).prints("");
    }
}

#[test]
fn half_closes_and_a_mebibyte_after_each() {
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
    server.end_stdin();
    let mut client =
        sockit("tcp-client -v --tls --pin").arg(pin).to(server.addr()).stdin_open().start();
    client.wait_to_say("the peer sends no more");
    client.type_in(&answer);
    client.end_stdin();
    client.wait().exits(0).prints("");
    let run = server.wait();
    run.exits(0);
    assert!(run.stdout == answer, "{} bytes", run.stdout.len());
}
