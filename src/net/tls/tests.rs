//! Client and server against each other over loopback, and against peers that misbehave.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::certificate::Identity;
use super::fingerprint::Sha256;
use super::{OnTruncation, client, server};
use crate::error::{ExitCode, Failure};
use crate::net::layer::{HandshakeContext, Layer};
use crate::net::stream::{Stream, Writer};

/// A smaller stack than servers get: an overflow shows that the measured reserve is used up.
const SMALL_STACK: usize = 96 << 10;

fn names() -> Vec<String> {
    vec!["localhost".to_string(), "127.0.0.1".to_string()]
}

fn server() -> (Arc<server::Server>, Sha256) {
    let identity = Identity::generate_self_signed(&names()).unwrap();
    let plan = server::TlsServerOptions {
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

fn wrap(layer: &dyn Layer, stream: TcpStream, timeout: Duration) -> Result<Stream, Failure> {
    wrap_stream(layer, Stream::from_socket(Socket::from(stream)).unwrap(), timeout)
}

fn wrap_stream(layer: &dyn Layer, stream: Stream, timeout: Duration) -> Result<Stream, Failure> {
    let context = HandshakeContext {
        target: "peer".into(),
        deadline: Some(Instant::now() + timeout),
        timeout,
        shutdown: None,
        activity: None,
        emit: &|_| (),
    };
    layer.wrap(stream, &context)
}

const LONG: Duration = Duration::from_secs(20);

/// Two ends of one TLS connection.
fn pair() -> (Stream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (server, print) = server();
    let connecting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let peer = thread::Builder::new()
        .stack_size(SMALL_STACK)
        .spawn(move || wrap(server.as_ref(), accepted, LONG).unwrap())
        .unwrap();
    let local = wrap(&client(vec![print]), connecting, LONG).unwrap();
    (local, peer.join().unwrap())
}

fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn both_directions_flow_concurrently() {
    let (local, peer) = pair();
    let bytes = Arc::new(pattern(24 << 20));
    let mut threads = Vec::new();
    for end in [local, peer] {
        let Stream { mut reader, mut writer, .. } = end;
        let (sent, wanted) = (bytes.clone(), bytes.clone());
        threads.push(thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.half_close().unwrap();
        }));
        threads.push(thread::spawn(move || {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).unwrap();
            assert!(got == *wanted);
        }));
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A writer that leaves the stream below open after close_notify.
struct OpenWriter(Box<dyn Writer>);

impl Write for OpenWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Writer for OpenWriter {
    fn half_close(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn reader_is_ready_when_close_notify_arrived_with_the_last_data() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (server, print) = server();
    let connecting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut accepted = Stream::from_socket(listener.accept().unwrap().0.into()).unwrap();
    accepted.writer = Box::new(OpenWriter(accepted.writer));
    let peer = thread::spawn(move || {
        let mut stream = wrap_stream(server.as_ref(), accepted, LONG).unwrap();
        stream.writer.write_all(b"all").unwrap();
        stream.writer.half_close().unwrap();
        stream
    });
    let mut local = wrap(&client(vec![print]), connecting, LONG).unwrap();
    let _peer = peer.join().unwrap();
    let mut received = Vec::new();
    while local.reader.is_ready() {
        let mut buffer = [0; 9];
        match local.reader.read(&mut buffer) {
            Ok(0) => return assert_eq!(received, b"all"),
            Ok(n) => received.extend_from_slice(&buffer[..n]),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::Interrupted),
        }
    }
    panic!("not ready after {received:?}");
}

#[test]
fn data_before_a_malformed_record_is_delivered() {
    let (mut local, mut peer) = pair();
    peer.writer.write_all(b"all").unwrap();
    peer.handle.socket().send(b"\x17\x03\x03\x00\x05wrong").unwrap();
    let mut received = Vec::new();
    let error = loop {
        assert!(local.reader.is_ready() || received.is_empty());
        let mut buffer = [0; 9];
        match local.reader.read(&mut buffer) {
            Ok(n) => received.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => break e,
        }
    };
    assert_eq!(
        (received.as_slice(), error.kind()),
        (b"all".as_slice(), io::ErrorKind::InvalidData)
    );
}

#[test]
fn blocked_reader_does_not_block_the_writer() {
    let (local, mut peer) = pair();
    let Stream { mut reader, mut writer, handle, .. } = local;
    let waiting = thread::spawn(move || reader.read_to_end(&mut Vec::new()));
    thread::sleep(Duration::from_millis(30));
    writer.write_all(b"all the same").unwrap();
    let mut received = [0; 12];
    peer.reader.read_exact(&mut received).unwrap();
    handle.shutdown();
    assert_eq!(waiting.join().unwrap().unwrap(), 0);
}

/// The kernel is not to delay acknowledgements (tcp(7), `TCP_QUICKACK`): a client with Nagle's algorithm
/// would hold its first request back for 40 ms.
#[test]
#[cfg(target_os = "linux")]
fn server_acknowledges_the_end_of_the_handshake_immediately() {
    let (_local, peer) = pair();
    assert!(peer.handle.socket().tcp_quickack().unwrap());
}

/// The failure of a client whose server answers its ClientHello with this.
fn client_against(answer: &'static [u8], stays: bool) -> Failure {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    let peer = thread::spawn(move || {
        let _ = accepted.read(&mut [0; 4096]);
        accepted.write_all(answer).unwrap();
        while stays && accepted.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
    });
    let failure = wrap(&client(Vec::new()), connecting, Duration::from_millis(300)).err().unwrap();
    peer.join().unwrap();
    failure
}

#[test]
fn plain_server_is_recognized_immediately() {
    let failure = client_against(b"HTTP/1.1 400 Bad Request\r\n\r\n", true);
    assert_eq!(failure.code, ExitCode::Tls);
    assert!(
        failure.to_string().contains("does not speak TLS: it sends 'HTTP/1.1 400"),
        "{failure}"
    );
    assert!(failure.hint.is_some());
    let mute = [client_against(b"", false), client_against(b"", true)];
    assert_eq!(mute.each_ref().map(|failure| failure.code), [ExitCode::Tls, ExitCode::Timeout]);
    assert!(mute.iter().all(|failure| failure.hint.is_some()));
    assert_eq!(client_against(b"\x16\x03\x03\xff\xffnonsense", true).code, ExitCode::Tls);
}

#[test]
fn malformed_handshakes_fail() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (server, _) = server();
    for n in 0..60_u8 {
        let mut connecting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let mut nonsense = vec![0x16, 3, 1, 0, n];
        nonsense.extend((0..n).map(|i| i.wrapping_mul(n)));
        connecting.write_all(&nonsense).unwrap();
        connecting.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(wrap(server.as_ref(), accepted, LONG).is_err());
    }
}
