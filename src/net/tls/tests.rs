//! Both roles against each other over loopback, and against peers who misbehave.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::certificate::{Identity, Sha256};
use super::{OnTruncation, client, server};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::layer::{HandshakeContext, Layer};
use crate::net::stream::Stream;

/// Smaller than what servers get: if this overflows, the measured reserve is gone.
const TIGHT: usize = 96 << 10;

fn names() -> Vec<String> {
    vec!["localhost".to_string(), "127.0.0.1".to_string()]
}

fn server() -> (Arc<server::Server>, Sha256) {
    let identity = Identity::generate_self_signed(&names()).unwrap();
    let plan = server::ServerOptions {
        identity,
        alpn: vec![b"echo".to_vec()],
        client_ca: None,
        client_optional: false,
        on_truncation: OnTruncation::Fail,
    };
    let server = server::Server::new(plan).unwrap();
    let print = server.sha256;
    (Arc::new(server), print)
}

fn client(pins: Vec<Sha256>) -> client::Client {
    let server_name = "localhost".to_string();
    client::Client::new(client::ClientOptions {
        server_name,
        pins,
        ..client::ClientOptions::default()
    })
    .unwrap()
}

fn wrap(layer: &dyn Layer, stream: TcpStream, limit: Duration) -> Result<Stream, Failure> {
    let stream = Stream::from_socket(Socket::from(stream)).unwrap();
    let talk = HandshakeContext {
        target: "peer".into(),
        until: Some(Instant::now() + limit),
        limit,
        stop: None,
        activity: None,
        tell: &|_| (),
    };
    layer.wrap(stream, &talk)
}

const LONG: Duration = Duration::from_secs(20);

/// Two ends of one TLS connection.
fn pair() -> (Stream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (server, print) = server();
    let calling = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (called, _) = listener.accept().unwrap();
    let theirs = thread::Builder::new()
        .stack_size(TIGHT)
        .spawn(move || wrap(server.as_ref(), called, LONG).unwrap())
        .unwrap();
    let ours = wrap(&client(vec![print]), calling, LONG).unwrap();
    (ours, theirs.join().unwrap())
}

fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn both_directions_flow_at_once_without_waiting_for_each_other() {
    let (ours, theirs) = pair();
    let bytes = Arc::new(pattern(24 << 20));
    let mut threads = Vec::new();
    for end in [ours, theirs] {
        let Stream { mut reader, mut writer, .. } = end;
        let (sent, wanted) = (bytes.clone(), bytes.clone());
        threads.push(thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.finish().unwrap();
        }));
        threads.push(thread::spawn(move || {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).unwrap();
            assert!(got == *wanted);
        }));
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn after_our_half_close_the_peer_still_talks() {
    let (mut ours, mut theirs) = pair();
    ours.writer.write_all(b"question").unwrap();
    ours.writer.finish().unwrap();
    let mut heard = Vec::new();
    theirs.reader.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"question");
    let answer = pattern(1 << 20);
    let sent = answer.clone();
    let sender = thread::spawn(move || {
        theirs.writer.write_all(&sent).unwrap();
        theirs.writer.finish().unwrap();
        theirs
    });
    let mut heard = Vec::new();
    ours.reader.read_to_end(&mut heard).unwrap();
    assert!(heard == answer);
    drop(sender.join().unwrap());
}

#[test]
fn end_without_close_notify_is_an_end_and_a_truncation() {
    let (mut ours, mut theirs) = pair();
    theirs.writer.write_all(b"half of").unwrap();
    theirs.hangup.socket().shutdown(std::net::Shutdown::Write).unwrap();
    let mut received = Vec::new();
    ours.reader.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"half of");
    let failure = ours.hangup.check_truncation(&ours.facts.peer, 7).unwrap_err();
    assert_eq!((failure.stage, failure.code), (Phase::Receive, ExitCode::Partial));
    ours.writer.write_all(b"owed").unwrap();
    ours.writer.finish().unwrap();
    let mut answer = String::new();
    theirs.reader.read_to_string(&mut answer).unwrap();
    assert_eq!((answer.as_str(), theirs.hangup.is_truncated()), ("owed", false));
}

#[test]
fn a_reader_that_waits_does_not_hold_the_writer() {
    let (ours, mut theirs) = pair();
    let Stream { mut reader, mut writer, hangup, .. } = ours;
    let waiting = thread::spawn(move || reader.read(&mut [0; 10]));
    thread::sleep(Duration::from_millis(30));
    writer.write_all(b"all the same").unwrap();
    let mut heard = [0; 12];
    theirs.reader.read_exact(&mut heard).unwrap();
    hangup.shutdown();
    assert_eq!(waiting.join().unwrap().unwrap(), 0);
}

#[test]
fn a_wrong_pin_is_told_with_the_right_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (server, print) = server();
    let calling = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (called, _) = listener.accept().unwrap();
    let theirs = thread::spawn(move || wrap(server.as_ref(), called, LONG).err());
    let failure = wrap(&client(vec![Sha256([1; 32])]), calling, LONG).err().unwrap();
    assert_eq!(failure.code, ExitCode::Certificate);
    assert!(failure.to_string().contains(&print.to_string()), "{failure}");
    assert_eq!(theirs.join().unwrap().map(|failure| failure.code), Some(ExitCode::Tls));
}

/// What a client makes of a server that says this to its greeting.
fn client_against(answer: &'static [u8], stays: bool) -> Failure {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let calling = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut called, _) = listener.accept().unwrap();
    let theirs = thread::spawn(move || {
        let _ = called.read(&mut [0; 4096]);
        called.write_all(answer).unwrap();
        while stays && called.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
    });
    let failure = wrap(&client(Vec::new()), calling, Duration::from_millis(300)).err().unwrap();
    theirs.join().unwrap();
    failure
}

#[test]
fn a_plain_server_is_told_apart_at_once() {
    let failure = client_against(b"HTTP/1.1 400 Bad Request\r\n\r\n", true);
    assert_eq!(failure.code, ExitCode::Tls);
    assert!(failure.to_string().contains("does not speak TLS: it says 'HTTP/1.1 400"), "{failure}");
    assert!(failure.hint.is_some());
    let mute = [client_against(b"", false), client_against(b"", true)];
    assert_eq!(mute.each_ref().map(|failure| failure.code), [ExitCode::Tls, ExitCode::Timeout]);
    assert!(mute.iter().all(|failure| failure.hint.is_some()));
    assert_eq!(client_against(b"\x16\x03\x03\xff\xffnonsense", true).code, ExitCode::Tls);
}

#[test]
fn a_plain_client_is_told_apart_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut calling = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (called, _) = listener.accept().unwrap();
    calling.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    calling.shutdown(std::net::Shutdown::Write).unwrap();
    let failure = wrap(server().0.as_ref(), called, LONG).err().unwrap();
    assert_eq!(failure.code, ExitCode::Tls);
    assert!(failure.to_string().contains("GET / HTTP/1.0"), "{failure}");
}

#[test]
fn nonsense_of_any_kind_never_brings_a_server_down() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (server, _) = server();
    for n in 0..60_u8 {
        let mut calling = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (called, _) = listener.accept().unwrap();
        let mut nonsense = vec![0x16, 3, 1, 0, n];
        nonsense.extend((0..n).map(|i| i.wrapping_mul(n)));
        calling.write_all(&nonsense).unwrap();
        calling.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(wrap(server.as_ref(), called, LONG).is_err());
    }
}
