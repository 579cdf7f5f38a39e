//! Proxies that lie, one answer after another, and what we make of each.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::net::dial::Dialer;
use crate::net::retry::Retry;
use crate::shutdown::Shutdown;

const LIMIT: Duration = Duration::from_millis(400);

/// What the liar says after each of our messages; then it closes, or keeps silent.
struct FakeReply {
    answers: Vec<Vec<u8>>,
    stays: bool,
}

fn dial(proxy: &str) -> Dialer {
    Dialer {
        endpoint: Endpoint { host: "target.example".into(), port: "7".into() },
        family: Default::default(),
        options: Default::default(),
        source: None,
        timeout: Some(LIMIT),
        retry: Retry::default(),
        route: Route::Through(Proxy::read(proxy).unwrap()),
        layer: None,
    }
}

fn play(mut stream: TcpStream, lie: FakeReply) {
    let mut heard = [0; 1024];
    for answer in lie.answers {
        if stream.read(&mut heard).unwrap_or(0) == 0 || stream.write_all(&answer).is_err() {
            return;
        }
    }
    if lie.stays {
        while stream.read(&mut heard).is_ok_and(|n| n > 0) {}
    }
}

/// Calls through the liar; tells the failure, or what the target said first.
fn call(scheme: &str, lie: FakeReply) -> Result<Vec<u8>, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || play(listener.accept().unwrap().0, lie));
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
fn check(scheme: &str, lie: FakeReply, code: ExitCode, why: &str) {
    let began = Instant::now();
    let failure = call(scheme, lie).expect_err("the lie is seen through");
    let line = failure.to_string();
    assert_eq!((failure.stage, failure.code), (Phase::Proxy, code), "{line}");
    assert!(line.starts_with(&format!("proxy {scheme}://127.0.0.1:")), "{line}");
    assert!(line.contains(why), "{line}");
    assert!(began.elapsed() < LIMIT * 4, "{line}");
}

const NO_LOGIN: &[u8] = &[5, 0];

#[test]
fn socks_answers_that_are_wrong_end_with_8() {
    check("socks5h", ends(&[b""]), ExitCode::Protocol, "greeting: ");
    check("socks5h", ends(&[&[5]]), ExitCode::Protocol, "greeting: the proxy ended after 0 of 1");
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
fn socks_refusals_tell_the_target_from_the_proxy() {
    check("socks5h", stays(&[&[5, 0xff]]), ExitCode::Proxy, "authentication");
    let reply = |rep: u8| stays(&[NO_LOGIN, &[5, rep, 0, 1, 0, 0, 0, 0, 0, 0]]);
    check("socks5h", reply(1), ExitCode::Proxy, "target.example:7 is refused: general failure");
    check("socks5h", reply(2), ExitCode::Proxy, "rules");
    check(
        "socks5h",
        reply(5),
        ExitCode::Connect,
        "could not reach target.example:7: connection refused",
    );
    check("socks5h", reply(4), ExitCode::Connect, "host unreachable");
    check("socks5h", reply(77), ExitCode::Proxy, "reply 77");
}

#[test]
fn silence_and_drips_end_at_the_limit() {
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
    let late = dial(&format!("http://{at}")).connect(&Shutdown::new(None).unwrap(), &|_| ());
    assert_eq!(late.err().map(|failure| failure.code), Some(ExitCode::Timeout));
    assert!(began.elapsed() < LIMIT * 3);
}

#[test]
fn connect_answers_that_are_wrong_or_too_long() {
    check("http", ends(&[b""]), ExitCode::Protocol, "CONNECT: ");
    check("http", ends(&[b"HTTP/1.1 200 OK\r\n"]), ExitCode::Protocol, "ended after 17 bytes");
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
        "it wants a login: 407",
    );
    check("http", stays(&[b"HTTP/1.0 403 No\r\n\r\n"]), ExitCode::Proxy, "is refused: 403 No");
    check("http", stays(&[b"HTTP/1.1 502 Gone\r\n\r\n"]), ExitCode::Proxy, "could not reach");
}

#[test]
fn what_the_target_says_early_is_not_lost() {
    let yes = b"HTTP/1.1 103 Soon\r\n\r\nHTTP/1.1 200 Joined\r\nA: b\r\n\r\n220 welcome\r\n\r\n";
    assert_eq!(call("http", ends(&[yes])).unwrap(), b"220 welcome\r\n\r\n");
    let yes = [&[5, 0, 0, 3, 1, b'x', 0, 0][..], b"220 welcome"].concat();
    assert_eq!(call("socks5h", ends(&[NO_LOGIN, &yes])).unwrap(), b"220 welcome");
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = dial(&format!("http://{gone}")).connect(&Shutdown::new(None).unwrap(), &|_| ());
    let line = failure.err().map(|failure| (failure.code, failure.to_string()));
    assert_eq!(line, Some((ExitCode::Connect, format!("proxy http://{gone}: Connection refused"))));
}
