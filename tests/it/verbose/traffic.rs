//! `-vv`: what crosses the network.

use std::io::{Read, Write};

use crate::support::nameserver::name_server;
use crate::support::peer::{self, Script, peer};
use crate::support::sockit::sockit;

#[test]
fn both_directions_are_shown_with_their_bytes() {
    let echo = peer::echoes();
    let run = sockit("tcp-client -vv").to(echo.addr()).stdin("a \"b\"\r\n").run();
    run.exits(0).prints("a \"b\"\r\n");
    run.logs(&format!("Sent 7 bytes to {}: \"a \\\"b\\\"\\r\\n\"\n", echo.addr()));
    run.logs(&format!("Received 7 bytes from {}: \"a \\\"b\\\"\\r\\n\"\n", echo.addr()));
    run.logs(&format!("Sent end of stream to {}\n", echo.addr()));
    run.logs(&format!("Received end of stream from {}\n", echo.addr()));
}

#[test]
fn traffic_is_an_event_too() {
    let echo = peer::echoes();
    let run = sockit("tcp-client -vv --json").to(echo.addr()).stdin("hello").run();
    run.exits(0);
    let sent = &run.events_named("sent")[0];
    assert_eq!(
        (&sent["conn"], &sent["bytes"], &sent["data"]),
        (&1.into(), &5.into(), &"hello".into())
    );
    assert_eq!(run.events_named("received")[0]["bytes"], 5);
    let ends = run.events_named("end_of_stream");
    assert_eq!((&ends[0]["by"], &ends[1]["by"]), (&"us".into(), &"peer".into()));
    let run = sockit("tcp-client -v --json").to(peer::echoes().addr()).stdin("hello").run();
    assert!(run.events_named("sent").is_empty(), "only with -vv");
}

#[test]
fn long_and_binary_data_are_marked() {
    let echo = peer::echoes();
    let run = sockit("tcp-client -vv")
        .to(echo.addr())
        .stdin([&[0x16, 3, 1, 0], &[7; 80][..]].concat())
        .run();
    run.exits(0).logs("Sent 84 bytes to ").logs(": \"\\x16\\x03\\x01\\x00\\x07");
    run.logs("\"… (binary; --hex shows all bytes)\n");
}

#[test]
fn two_sends_may_arrive_as_one_receive() {
    let sticky = peer(|mut stream| {
        stream.expect_bytes("MichaelTracy");
        stream.send("one");
        stream.send("two");
    });
    let client = sockit("tcp-client -vv --linger 2s --no-half-close").to(sticky.addr());
    client.stdin("MichaelTracy").run().exits(0).prints("onetwo").logs("Sent 12 bytes to");
}

/// A peer that does not read makes the last write short, or block: all bytes are in the lines.
#[test]
fn bulk_transfer_has_few_lines() {
    const SIZE: usize = 32 << 20;
    let reader = peer(|mut stream| {
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        stream.write_all(&received[..10]).unwrap();
        received.len()
    });
    let run = sockit("tcp-client -vv").to(reader.addr()).stdin(vec![b'x'; SIZE]).run();
    run.exits(0).prints("xxxxxxxxxx");
    assert_eq!(reader.outcome(), SIZE);
    let sums = run.stderr.lines().filter(|line| line.starts_with("Sent ") && line.contains(" in "));
    let sent: Vec<_> = run.stderr.lines().filter(|line| line.starts_with("Sent ")).collect();
    assert!(sums.count() >= 1, "{}", run.stderr);
    // Twenty with bytes, one a second, and the end of stream.
    assert!(sent.len() <= 20 + 20 + 2, "{}", run.stderr);
}

#[test]
fn server_logs_each_message() {
    let server = sockit("tcp-server -vv --once").serve();
    let run = sockit("tcp-client --send Michael --send exit").to(server.addr()).run();
    run.exits(0);
    let run = server.wait();
    let traffic = run.stderr.lines().filter(|line| line.contains(" bytes ") && line.contains('"'));
    let words: Vec<_> = traffic.map(|line| line.rsplit(": ").next().unwrap()).collect();
    assert_eq!(words, ["\"Welcome!\"", "\"Michael\"", "\"Hello, Michael!\"", "\"exit\""]);
    run.logs("Landlock");
}

#[test]
fn udp_shows_its_payloads() {
    let server = sockit("udp-echo -vv --max-datagrams 1").serve();
    let run = sockit("udp-client -vv --send hello").to(server.addr()).run();
    run.exits(0).prints("hello\n").logs("Sent 5 bytes to 127.0.0.1:").logs(": \"hello\"\n");
    let run = server.wait();
    run.logs("(5 bytes): \"hello\"\n").logs("Sent 5 bytes to 127.0.0.1:");
}

#[test]
#[cfg(feature = "http")]
fn request_is_shown_without_credentials() {
    let origin = peer(|mut stream| {
        let mut request = [0; 4096];
        let n = stream.read(&mut request).unwrap();
        stream.send("HTTP/1.0 200 OK\r\nX-Word: tea\r\n\r\nbody");
        request[..n].to_vec()
    });
    let url = format!("http://{}/path", origin.addr());
    let run = sockit("http-get -vv --user ann:topsecret -H 'X-Api-Key: topkey'").arg(url).run();
    run.exits(0).prints("body").logs("> GET /path HTTP/1.1\n> Host: 127.0.0.1:");
    run.logs("> Authorization: (hidden)\n").logs("> X-Api-Key: (hidden)\n");
    run.logs("< HTTP/1.0 200 OK\n< X-Word: tea\n");
    let request = String::from_utf8(origin.outcome()).unwrap();
    let encoded = request.lines().find_map(|line| line.strip_prefix("Authorization: Basic "));
    for secret in ["topsecret", "topkey", encoded.expect("a login")] {
        assert!(!run.stderr.contains(secret), "{}", run.stderr);
    }
}

#[test]
fn questions_and_answers_of_a_name_server_are_shown() {
    let server = name_server(|query| query.reply().a([192, 0, 2, 7]).into());
    let run = sockit("resolve -4 -vv www.example.test --server").arg(server.to_string()).run();
    run.exits(0).logs(&format!("> www.example.test A to {server}\n")).logs(" A 192.0.2.7\n");
}

/// The messages of a proxy handshake through `scheme` with a login, whose proxy sends these answers.
fn proxy_messages(scheme: &str, answers: &'static [&'static [u8]]) -> Vec<String> {
    let proxy = peer(move |mut stream| {
        for answer in answers {
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            stream.write_all(answer).unwrap();
        }
    });
    let url = format!("{scheme}://ann:topsecret@{}", proxy.addr());
    let run = sockit("tcp-client -vv db.test 7 --recv-only --proxy").arg(url).run();
    run.exits(0).never_logs("topsecret").never_logs("YW5u");
    let messages = run.stderr.lines().filter(|line| line.starts_with(['<', '>']));
    messages.map(str::to_string).collect()
}

#[test]
fn proxy_handshakes_are_shown_without_credentials() {
    const SOCKS: &[&[u8]] = &[&[5, 2], &[1, 0], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]];
    let shown = proxy_messages("socks5h", SOCKS);
    let greeting = ["> SOCKS5 methods [0, 2]", "< SOCKS5 method 2"];
    let login = ["> SOCKS5 login (hidden)", "< SOCKS5 login status 0"];
    let request = ["> SOCKS5 CONNECT db.test:7", "< SOCKS5 reply 0"];
    assert_eq!(shown, [greeting, login, request].concat());
    let shown = proxy_messages("http", &[b"HTTP/1.1 200 Established\r\n\r\n"]);
    let request = ["> CONNECT db.test:7 HTTP/1.1", "> Proxy-Authorization: (hidden)"];
    assert_eq!(shown, [&request[..], &["< HTTP/1.1 200 Established"]].concat());
}

#[test]
#[cfg(feature = "tls")]
fn tls_handshake_is_shown_on_both_sides() {
    let server = sockit("tcp-server -vv --tls --once --service discard").serve();
    let client = sockit("tcp-client -vv --tls --insecure localhost").arg(server.port().to_string());
    let run = client.stdin("x").run();
    run.exits(0).logs("> TLS ClientHello: server name localhost\n");
    run.logs("< TLS ServerHello: TLSv1.3, TLS_").logs(", key exchange X25519");
    let run = server.wait();
    run.exits(0).logs(": < TLS ClientHello: server name localhost\n");
    run.logs(": > TLS ServerHello: TLSv1.3, TLS_");
}
