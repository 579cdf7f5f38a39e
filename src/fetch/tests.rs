//! Downloads from a scripted server on loopback, without a process.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::options::{
    Connector, HostOverride, LimitOptions, OutputOptions, RequestOptions, ResponseOptions,
    ServerRole,
};
use super::output::Destination;
use super::partial_file::KeptName;
use super::{FetchOptions, run};
use crate::error::{Failure, Phase};
use crate::http::range::RequestedRange;
use crate::http::url::UserInfo;
use crate::http::{HttpUrl, ParserOptions};
use crate::net::dial::Dialer;
use crate::net::endpoint::Endpoint;
use crate::net::layer::Layer;
use crate::net::proxy::Proxy;
use crate::net::retry::RetryPolicy;
use crate::net::route::Route;
use crate::net::socket::SocketOptions;
use crate::net::stdout::Stdout;
use crate::resolver::Family;
use crate::shutdown::ShutdownReason;
use crate::test_run::TestRun;

const LONG: Duration = Duration::from_secs(20);
const ETAG: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"1\"\r\n\r\n";
const REDIRECT: &str = "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What the server does with one connection, after it has read the request.
enum Reply {
    /// Sends it and closes.
    Close(Vec<u8>),
    /// Sends it and resets the connection.
    Reset(&'static str),
    /// Sends it and waits for the client to close.
    Hold(&'static str),
}

impl Reply {
    fn send(self, mut stream: TcpStream) -> io::Result<()> {
        match self {
            Reply::Close(bytes) => stream.write_all(&bytes),
            Reply::Reset(text) => {
                stream.write_all(text.as_bytes())?;
                SockRef::from(&stream).set_linger(Some(Duration::ZERO))
            }
            Reply::Hold(text) => {
                stream.write_all(text.as_bytes())?;
                io::copy(&mut stream, &mut io::sink()).map(drop)
            }
        }
    }
}

/// Serves one connection per reply; returns the port and the requests.
fn serve(replies: Vec<Reply>) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (request_tx, request_rx) = mpsc::channel();
    thread::spawn(move || {
        for reply in replies {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                request.push(byte[0]);
            }
            drop(request_tx.send(String::from_utf8(request).unwrap()));
            // The client may have closed.
            let _ = reply.send(stream);
        }
    });
    (port, request_rx)
}

/// Connects by `route`, without TLS.
struct TestConnector(Route);

impl Connector for TestConnector {
    fn dialer(&self, endpoint: Endpoint) -> Dialer {
        Dialer {
            endpoint,
            family: Family::V4,
            socket_options: SocketOptions::default(),
            source: None,
            timeout: Some(LONG),
            retry: RetryPolicy::default(),
            route: Route::Direct,
            layer: None,
        }
    }

    fn route(&self, _: &str, _: &Endpoint) -> Result<Route, Failure> {
        Ok(self.0.clone())
    }

    fn tls(&self, host: &str, _: ServerRole) -> Result<Arc<dyn Layer>, Failure> {
        Err(Failure::usage(Phase::Tls, host, "no TLS in this test"))
    }
}

pub fn options() -> FetchOptions {
    FetchOptions {
        request: RequestOptions {
            head: false,
            http10: false,
            headers: Vec::new(),
            user: None,
            range: None,
            time_condition: None,
            half_close: false,
            delay: Duration::ZERO,
            host_overrides: Vec::new(),
            max_redirects: 10,
            allow_downgrade: false,
        },
        response: ResponseOptions { parser: ParserOptions::default(), any_status: false },
        output: OutputOptions {
            include_header: false,
            kept_name: KeptName::Part,
            resume: false,
            raw: false,
            stats: false,
        },
        limits: LimitOptions { idle_timeout: Some(LONG), max_rate: None, min_rate: None },
        retry: RetryPolicy::default(),
        connector: Box::new(TestConnector(Route::Direct)),
    }
}

/// A download, and what it left.
struct Fetched {
    code: u8,
    /// The failure as it is printed, with its hint.
    error: String,
    out: Vec<u8>,
    /// The events as JSON.
    log: String,
    requests: Vec<String>,
}

impl Fetched {
    #[track_caller]
    fn is(&self, code: u8, out: &str) {
        let text = String::from_utf8_lossy(&self.out);
        assert_eq!((self.code, &*text), (code, out), "{} {}", self.error, self.log);
    }
}

/// Downloads `/a` to stdout, or to `file`, from a server with these replies.
fn fetch_to(
    file: Option<PathBuf>,
    replies: Vec<Reply>,
    adjust: impl FnOnce(&mut FetchOptions, u16),
) -> Fetched {
    let test = TestRun::new();
    let (port, requests) = serve(replies);
    let mut options = options();
    adjust(&mut options, port);
    let destination = file.map_or(Destination::Stdout, Destination::File);
    let downloads = vec![(local_url(port), destination)];
    let (code, error) = match run(&test.context, &options, downloads, test.stdout) {
        Ok(code) => (code, String::new()),
        Err(failure) => {
            (failure.code, format!("{failure} {}", failure.hint.clone().unwrap_or_default()))
        }
    };
    let (out, log) = (test.output(), test.events());
    Fetched { code: code.number(), error, out, log, requests: requests.try_iter().collect() }
}

fn local_url(port: u16) -> HttpUrl {
    HttpUrl::parse(&format!("http://127.0.0.1:{port}/a"), &|_| Ok(80)).unwrap()
}

fn closes(replies: &[&str]) -> Vec<Reply> {
    replies.iter().map(|text| Reply::Close(text.as_bytes().to_vec())).collect()
}

/// Downloads to stdout.
fn fetch(replies: &[&str], adjust: impl FnOnce(&mut FetchOptions)) -> Fetched {
    fetch_to(None, closes(replies), |options, _| adjust(options))
}

#[test]
fn body_is_written_to_stdout_and_events_are_emitted() {
    let fetched = fetch(&[OK], |options| {
        options.output.stats = true;
        options.request.half_close = true;
        options.request.delay = Duration::from_millis(1);
        options.request.user = Some(UserInfo::split("u:p"));
    });
    fetched.is(0, "ok");
    let request = &fetched.requests[0];
    assert!(request.starts_with("GET /a HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nAuthorization: Basic dTpw\r\n"), "{request}");
    for event in ["connected", "closed", "stats", "\"status\":200", "\"ended_by\":\"us\""] {
        assert!(fetched.log.contains(event), "{event}: {}", fetched.log);
    }
}

#[test]
fn header_is_included_and_raw_response_is_copied() {
    fetch(&[OK], |options| options.output.include_header = true).is(0, OK);
    fetch(&[OK], |options| options.output.raw = true).is(0, OK);
    let odd = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx no chunks\r\n";
    fetch(&[odd], |options| options.output.raw = true).is(0, odd);
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".to_string() + OK;
    fetch(&[&interim], |_| ()).is(0, "ok");
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n";
    let fetched = fetch(&[head], |options| {
        (options.request.head, options.response.parser.head_request) = (true, true);
    });
    fetched.is(0, "");
    assert!(fetched.requests[0].starts_with("HEAD "));
}

#[test]
fn http09_response_is_written_to_its_destination() {
    let http09 = |options: &mut FetchOptions| options.response.parser.http09 = true;
    let dir = tempfile::tempdir().unwrap();
    for text in ["just text", "HT", "H"] {
        fetch(&[text], http09).is(0, text);
        let file = dir.path().join("f");
        fetch_to(Some(file.clone()), closes(&[text]), |options, _| http09(options)).is(0, "");
        assert_eq!(fs::read_to_string(file).unwrap(), text);
    }
}

#[test]
fn redirects_are_followed_up_to_their_limit() {
    let fetched = fetch(&[REDIRECT, OK], |_| ());
    fetched.is(0, "ok");
    assert!(fetched.requests[1].starts_with("GET /b "));
    let fetched = fetch(&[REDIRECT, REDIRECT], |options| options.request.max_redirects = 1);
    assert!(fetched.code == 47 && fetched.error.contains("more than 1 redirects"));
    fetch(&[REDIRECT], |options| options.request.max_redirects = 0).is(0, "");
}

#[test]
fn busy_server_is_asked_again_as_often_as_allowed() {
    let once = |options: &mut FetchOptions| {
        options.retry = RetryPolicy { max_retries: 1, delay: Duration::from_millis(1) };
    };
    fetch(&[BUSY, OK], once).is(0, "ok");
    fetch(&[BUSY, BUSY], once).is(22, "busy");
    fetch(&["", OK], once).is(0, "ok");
    let fetched = fetch(&[""], |_| ());
    fetched.is(52, "");
    let partial = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
    let fetched = fetch(&[partial, OK], once);
    fetched.is(18, "abc");
    assert!(fetched.error.contains("got 3 of 9 bytes"), "{}", fetched.error);
    // After a redirect the retry begins with the first URL.
    let fetched = fetch(&[REDIRECT, "", OK], once);
    fetched.is(0, "ok");
    assert!(fetched.requests[2].starts_with("GET /a "));
}

#[test]
fn reset_is_56_before_and_18_after_the_first_byte() {
    for (reply, code, out) in [
        (Reply::Reset(""), 56, ""),
        (Reply::Reset("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), 18, "abc"),
    ] {
        let fetched = fetch_to(None, vec![reply], |_, _| ());
        fetched.is(code, out);
        assert!(fetched.log.contains("\"ended_by\":\"reset\""), "{}", fetched.log);
    }
}

#[test]
fn error_status_keeps_the_file_unless_any_status() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone";
    let fetched = fetch_to(Some(file.clone()), closes(&[missing]), |_, _| ());
    assert!(fetched.code == 22 && fetched.error.contains("--any-status"), "{}", fetched.error);
    assert!(!file.exists());
    let any = |options: &mut FetchOptions, _| options.response.any_status = true;
    fetch_to(Some(file.clone()), closes(&[missing]), any).is(0, "");
    assert_eq!(fs::read(&file).unwrap(), b"gone");
    let login = "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n";
    assert!(fetch(&[login], |_| ()).error.contains("--user USER:PASSWORD"));
    let login = login.replace("Basic", "Bearer");
    assert!(fetch(&[&login], |_| ()).error.contains("Authorization: Bearer TOKEN"));
}

/// Downloads to `file` with `--continue`.
fn resume(file: &Path, replies: &[String]) -> Fetched {
    let replies = replies.iter().map(|text| Reply::Close(text.as_bytes().to_vec())).collect();
    fetch_to(Some(file.to_path_buf()), replies, |options, _| options.output.resume = true)
}

#[test]
fn partial_file_is_continued_if_the_server_has_the_same() {
    let part = format!("{ETAG}01234");
    let all = format!("{ETAG}0123456789");
    let range = |etag: &str, range: &str, body: &str| {
        let head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes";
        format!("{head} {range}/10\r\nETag: \"{etag}\"\r\n\r\n{body}")
    };
    let refused = "HTTP/1.1 416 No\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\n\r\n";
    for (replies, code, content, requests) in [
        (vec![range("1", "5-9", "56789")], 0, Some("0123456789"), 1),
        (vec![all.clone()], 0, Some("0123456789"), 1),
        (vec![range("2", "5-9", "56789"), all.clone()], 0, Some("0123456789"), 2),
        (vec![refused.to_string()], 0, Some("01234"), 1),
        (vec![refused.replace("*/5", "*/7"), all.clone()], 0, Some("0123456789"), 2),
        (vec![range("1", "5-7", "567")], 18, None, 1),
        (vec![range("1", "6-9", "6789")], 8, None, 1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let first = fetch_to(Some(file.clone()), closes(&[&part]), |_, _| ());
        assert!(first.code == 18 && first.error.contains("resume with --continue"));
        let second = resume(&file, &replies);
        let found = fs::read_to_string(&file).ok();
        assert_eq!((second.code, found.as_deref()), (code, content), "{}", second.error);
        assert_eq!(second.requests.len(), requests);
        assert!(second.requests[0].contains("\r\nRange: bytes=5-\r\n"), "{}", second.requests[0]);
        assert!(second.requests[0].contains("\r\nIf-Range: \"1\"\r\n"));
    }
}

#[test]
fn complete_file_is_only_replaced_by_another_version() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    fetch_to(Some(file.clone()), closes(&[&format!("{ETAG}0123456789")]), |_, _| ()).is(0, "");
    let unchanged = "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n".to_string();
    resume(&file, std::slice::from_ref(&unchanged)).is(0, "");
    resume(&file, &[format!("{ETAG}0123456789")]).is(0, "");
    let condition = |options: &mut FetchOptions, _| {
        options.request.time_condition = Some(file.clone());
    };
    fetch_to(None, closes(&[&unchanged]), condition).is(0, "");
    let old = "HTTP/1.1 200 OK\r\nLast-Modified: Tue, 15 Nov 1994 08:12:31 GMT\r\n\r\nold";
    let date = |options: &mut FetchOptions, _| {
        options.request.time_condition = Some("2001-01-01".into());
    };
    fetch_to(None, closes(&[old]), date).is(0, "");
    let neither = |options: &mut FetchOptions, _| {
        options.request.time_condition = Some("neither".into());
    };
    assert!(fetch_to(None, closes(&[OK]), neither).log.contains("neither a file nor a date"));
}

#[test]
fn kept_part_takes_the_name_of_the_file_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    let part = format!("{ETAG}01234");
    let keep = |options: &mut FetchOptions, _| options.output.kept_name = KeptName::Target;
    let fetched = fetch_to(Some(file.clone()), closes(&[&part]), keep);
    assert_eq!((fetched.code, fs::read(&file).unwrap()), (18, b"01234".to_vec()));
}

#[test]
fn requested_range_is_compared_with_the_received_one() {
    let range =
        |options: &mut FetchOptions| options.request.range = RequestedRange::parse("0-4").ok();
    let part = |range: &str, body: &str| {
        format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {range}\r\n\r\n{body}")
    };
    fetch(&[&part("0-4/10", "01234")], range).is(0, "01234");
    fetch(&[&part("0-2/10", "012")], range).is(18, "012");
    fetch(&[&part("1-5/10", "12345")], range).is(8, "");
    let whole = fetch(&[OK], range);
    assert!(whole.log.contains("the server ignored the range"), "{}", whole.log);
    whole.is(0, "ok");
    assert!(fetch(&[&part("0-2/3", "012")], |_| ()).log.contains("was not requested"));
}

#[test]
fn proxy_gets_the_absolute_url_and_its_refusal_is_97() {
    let through = |options: &mut FetchOptions, port| {
        let proxy = Proxy::parse(&format!("http://u:p@127.0.0.1:{port}")).unwrap();
        options.connector = Box::new(TestConnector(Route::ForwardProxy(proxy)));
    };
    let fetched = fetch_to(None, closes(&[OK]), through);
    fetched.is(0, "ok");
    let request = &fetched.requests[0];
    assert!(request.starts_with("GET http://127.0.0.1:"), "{request}");
    assert!(request.contains("\r\nProxy-Authorization: Basic dTpw\r\n"), "{request}");
    let refused = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 1\r\n\r\nx";
    fetch_to(None, closes(&[refused]), through).is(97, "");
    let raw = |options: &mut FetchOptions, port| {
        through(options, port);
        options.output.raw = true;
    };
    fetch_to(None, closes(&[refused]), raw).is(97, refused);
}

#[test]
fn host_override_replaces_the_lookup() {
    let (port, requests) = serve(closes(&[OK]));
    let mut options = options();
    let address = "127.0.0.1".parse().unwrap();
    options.request.host_overrides = vec![HostOverride { host: "h.test".into(), port, address }];
    let url = HttpUrl::parse(&format!("http://h.test:{port}/"), &|_| Ok(80)).unwrap();
    let test = TestRun::new();
    let unreachable = HttpUrl::parse("https://h.test/", &|_| Ok(80)).unwrap();
    let urls = [url, unreachable].map(|url| (url, Destination::Stdout)).to_vec();
    let failure = run(&test.context, &options, urls, test.stdout).unwrap_err();
    assert_eq!((failure.phase, test.output()), (Phase::Tls, b"ok".to_vec()));
    assert!(requests.recv().unwrap().contains(&format!("\r\nHost: h.test:{port}\r\n")));
}

#[test]
fn silent_or_slow_server_is_a_timeout() {
    let time = Duration::from_millis(30);
    let idle = |options: &mut FetchOptions, _| options.limits.idle_timeout = Some(time);
    let fetched = fetch_to(None, vec![Reply::Hold("")], idle);
    fetched.is(28, "");
    assert!(fetched.log.contains("\"ended_by\":\"timeout\""), "{}", fetched.log);
    let slow = |options: &mut FetchOptions, _| options.limits.min_rate = Some((1 << 20, time));
    let fetched = fetch_to(None, vec![Reply::Hold("")], slow);
    assert!(fetched.code == 28 && fetched.error.contains("--speed-limit"), "{}", fetched.error);
    let rate = |options: &mut FetchOptions, _| options.limits.max_rate = Some(1 << 20);
    fetch_to(None, closes(&[OK]), rate).is(0, "ok");
}

#[test]
fn shutdown_and_closed_stdout_end_the_wait_for_the_server() {
    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
    for (ends_stdout, code) in [(false, 130), (true, 0)] {
        let (port, _requests) = serve(vec![Reply::Hold(begun)]);
        let context = TestRun::new().context;
        let (mut reader, writer) = io::pipe().unwrap();
        let shutdown = context.shutdown.clone();
        let ender = thread::spawn(move || {
            reader.read_exact(&mut [0; 3]).unwrap();
            if !ends_stdout {
                shutdown.trigger(ShutdownReason::Interrupt);
                return Some(reader);
            }
            None
        });
        let downloads = vec![(local_url(port), Destination::Stdout)];
        let ended = run(&context, &options(), downloads, Stdout::of(writer));
        assert_eq!(ended.unwrap_or_else(|failure| failure.code).number(), code);
        drop(ender.join().unwrap());
    }
}

#[test]
fn long_body_is_moved_to_file_and_pipe() {
    let body: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let response = [head.as_bytes(), &body].concat();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    fetch_to(Some(file.clone()), vec![Reply::Close(response.clone())], |_, _| ()).is(0, "");
    assert!(fs::read(&file).unwrap() == body);
    let (port, _requests) = serve(vec![Reply::Close(response)]);
    let context = TestRun::new().context;
    let (mut reader, writer) = io::pipe().unwrap();
    let length = body.len();
    let read = thread::spawn(move || {
        let mut all = vec![0; length];
        reader.read_exact(&mut all).map(|()| all)
    });
    let downloads = vec![(local_url(port), Destination::Stdout)];
    let ended = run(&context, &options(), downloads, Stdout::of(writer));
    assert_eq!(ended.unwrap().number(), 0);
    assert!(read.join().unwrap().unwrap() == body);
}

#[test]
fn tls_on_a_plain_port_is_named() {
    let fetched =
        fetch_to(None, vec![Reply::Close(b"\x15\x03\x01\x00\x02\x02\x46".to_vec())], |_, _| ());
    assert!(fetched.code == 8 && fetched.error.contains("use https://"), "{}", fetched.error);
}
