//! Proxies with scripted answers, and the failure that each leads to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::error::ExitCode;
use crate::net::dial::Dialer;
use crate::net::retry::RetryPolicy;
use crate::net::route::Route;
use crate::shutdown::Shutdown;

const TIMEOUT: Duration = Duration::from_millis(400);

/// The answer to each message; then the proxy closes, or stays silent.
struct FakeReply {
    answers: Vec<Vec<u8>>,
    stays: bool,
}

fn dial(proxy: &str) -> Dialer {
    Dialer {
        endpoint: Endpoint { host: "target.example".into(), port: "7".into() },
        family: Default::default(),
        socket_options: Default::default(),
        source: None,
        timeout: Some(TIMEOUT),
        retry: RetryPolicy::default(),
        route: Route::Tunnel(Proxy::parse(proxy).unwrap()),
        layer: None,
    }
}

fn play(mut stream: TcpStream, reply: FakeReply) {
    let mut received = [0; 1024];
    for answer in reply.answers {
        if stream.read(&mut received).unwrap_or(0) == 0 || stream.write_all(&answer).is_err() {
            return;
        }
    }
    if reply.stays {
        while stream.read(&mut received).is_ok_and(|n| n > 0) {}
    }
}

/// Connects through the fake proxy; returns the failure, or the early data of the target.
fn connect(scheme: &str, reply: FakeReply) -> Result<Vec<u8>, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || play(listener.accept().unwrap().0, reply));
    let stop = Shutdown::new(None).unwrap();
    let mut stream = dial(&format!("{scheme}://{at}")).connect(&stop, &|_| ())?;
    let mut early = Vec::new();
    let _ = stream.reader.read_to_end(&mut early);
    Ok(early)
}

fn ends(answers: &[&[u8]]) -> FakeReply {
    FakeReply { answers: answers.iter().map(|a| a.to_vec()).collect(), stays: false }
}

fn stays(answers: &[&[u8]]) -> FakeReply {
    FakeReply { stays: true, ..ends(answers) }
}

#[track_caller]
fn check(scheme: &str, reply: FakeReply, code: ExitCode, why: &str) {
    let began = Instant::now();
    let failure = connect(scheme, reply).expect_err("the answer is invalid");
    let line = failure.to_string();
    assert_eq!((failure.phase, failure.code), (Phase::Proxy, code), "{line}");
    assert!(line.starts_with(&format!("proxy {scheme}://127.0.0.1:")), "{line}");
    assert!(line.contains(why), "{line}");
    assert!(began.elapsed() < TIMEOUT * 4, "{line}");
}

const NO_LOGIN: &[u8] = &[5, 0];

#[test]
fn socks_invalid_answers_exit_8() {
    check("socks5h", ends(&[b""]), ExitCode::Protocol, "greeting: ");
    let closed = "greeting: the proxy closed the connection after 0 of 1";
    check("socks5h", ends(&[&[5]]), ExitCode::Protocol, closed);
    check("socks5h", stays(&[&[4, 0]]), ExitCode::Protocol, "not SOCKS 5");
    check("socks5h", stays(&[&[0, 90]]), ExitCode::Protocol, "version 4");
    check("socks5h", stays(&[b"HTTP/1.1 400 Bad Request\r\n\r\n"]), ExitCode::Protocol, "HTTP");
    check("socks5h", stays(&[&[5, 2]]), ExitCode::Protocol, "method 2");
    check("socks5h", ends(&[NO_LOGIN, &[5, 0, 0]]), ExitCode::Protocol, "request: ");
    check("socks5h", stays(&[NO_LOGIN, &[5, 0, 0, 9, 0, 0]]), ExitCode::Protocol, "unknown type 9");
    check("socks5h", stays(&[NO_LOGIN, &[1, 0, 0, 1]]), ExitCode::Protocol, "not SOCKS 5");
    check("socks5h", ends(&[NO_LOGIN, &[5, 0, 0, 3, 200, 1, 2]]), ExitCode::Protocol, "2 of 202");
}

#[test]
fn socks_refusal_is_97_unreachable_target_7() {
    check("socks5h", stays(&[&[5, 0xff]]), ExitCode::Proxy, "authentication");
    let reply = |rep: u8| stays(&[NO_LOGIN, &[5, rep, 0, 1, 0, 0, 0, 0, 0, 0]]);
    check("socks5h", reply(1), ExitCode::Proxy, "target.example:7 is refused: general failure");
    check("socks5h", reply(2), ExitCode::Proxy, "rules");
    let refused = "could not reach target.example:7: connection refused";
    check("socks5h", reply(5), ExitCode::Connect, refused);
    check("socks5h", reply(4), ExitCode::Connect, "host unreachable");
    check("socks5h", reply(77), ExitCode::Proxy, "reply 77");
}

#[test]
fn silent_and_slow_proxies_time_out() {
    check("socks5h", stays(&[]), ExitCode::Timeout, "greeting: timed out after 400ms");
    check("socks5h", stays(&[NO_LOGIN]), ExitCode::Timeout, "request: timed out");
    check("http", stays(&[]), ExitCode::Timeout, "CONNECT: timed out");
    check("http", stays(&[b"HTTP/1.1 200 OK\r\n"]), ExitCode::Timeout, "CONNECT: timed out");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        for byte in b"HTTP/1.1 200 ".iter().chain(std::iter::repeat(&b'x')).take(100) {
            thread::sleep(Duration::from_millis(40));
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
        }
    });
    let began = Instant::now();
    let timed_out = dial(&format!("http://{at}")).connect(&Shutdown::new(None).unwrap(), &|_| ());
    assert_eq!(timed_out.err().map(|failure| failure.code), Some(ExitCode::Timeout));
    assert!(began.elapsed() < TIMEOUT * 3);
}

#[test]
fn connect_invalid_and_long_answers() {
    check("http", ends(&[b""]), ExitCode::Protocol, "CONNECT: ");
    let closed = "closed the connection after 17 bytes";
    check("http", ends(&[b"HTTP/1.1 200 OK\r\n"]), ExitCode::Protocol, closed);
    check("http", stays(&[&[5, 0]]), ExitCode::Protocol, "not HTTP");
    check("http", stays(&[b"HTTP/1.1 OK\r\n\r\n"]), ExitCode::Protocol, "status line");
    check("http", stays(&[b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"]), ExitCode::Protocol, "colon");
    check("http", stays(&[&b"HTTP/1.1 100 Go\r\n\r\n".repeat(9)]), ExitCode::Protocol, "interim");
    let long = [b"HTTP/1.1 200 OK\r\nA: ".to_vec(), vec![b'a'; 200 << 10]].concat();
    check("http", stays(&[&long]), ExitCode::Limit, "limit of 65536 bytes");
    check(
        "http",
        stays(&[b"HTTP/1.1 407 Login\r\n\r\n"]),
        ExitCode::Proxy,
        "requires a login: 407",
    );
    check("http", stays(&[b"HTTP/1.0 403 No\r\n\r\n"]), ExitCode::Proxy, "is refused: 403 No");
    check("http", stays(&[b"HTTP/1.1 502 Gone\r\n\r\n"]), ExitCode::Proxy, "could not reach");
}

#[test]
fn early_data_of_the_target_is_not_lost() {
    let yes = b"HTTP/1.1 103 Soon\r\n\r\nHTTP/1.1 200 Joined\r\nA: b\r\n\r\n220 welcome\r\n\r\n";
    assert_eq!(connect("http", ends(&[yes])).unwrap(), b"220 welcome\r\n\r\n");
    let yes = [&[5, 0, 0, 3, 1, b'x', 0, 0][..], b"220 welcome"].concat();
    assert_eq!(connect("socks5h", ends(&[NO_LOGIN, &yes])).unwrap(), b"220 welcome");
}
