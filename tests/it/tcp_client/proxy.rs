//! Connections through a proxy: microsocks, tinyproxy, and a scripted one.

use std::process::Stdio;

use crate::support::peer::{self, Script};
use crate::support::process::Process;
use crate::support::sockit::{LIMIT, Sockit, sockit};

/// A real SOCKS proxy on this port.
pub fn microsocks(args: &[&str]) -> Option<(Process, u16)> {
    let mut command = peer::program("microsocks")?;
    let port = peer::free_port();
    command.args(["-i", "127.0.0.1", "-p", &port.to_string()]).args(args);
    Some((start(command), port))
}

/// A real HTTP proxy, with these lines in its configuration.
fn tinyproxy(dir: &tempfile::TempDir, lines: &str) -> Option<(Process, u16)> {
    let mut command = peer::program("tinyproxy")?;
    let port = peer::free_port();
    let config = dir.path().join("tinyproxy.conf");
    std::fs::write(&config, format!("Port {port}\nListen 127.0.0.1\nTimeout 20\n{lines}\n"))
        .expect("a file");
    command.arg("-d").arg("-c").arg(&config);
    Some((start(command), port))
}

fn start(mut command: std::process::Command) -> Process {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::start(command, None, LIMIT)
}

fn through(proxy: &str) -> Sockit {
    sockit("tcp-client --proxy").arg(proxy)
}

#[test]
fn socks_proxy_connects_to_addresses_and_names() {
    let Some((_proxy, port)) = microsocks(&[]) else { return };
    peer::wait_for_listener(port);
    let server = sockit("tcp-server --service echo").serve();
    for scheme in ["socks5", "socks5h"] {
        let proxy = format!("{scheme}://127.0.0.1:{port}");
        // microsocks closes at a half-close, so the answer must come before it.
        let hello = |client: Sockit| client.and("--send hello").run();
        hello(through(&proxy).to(server.addr())).exits(0).prints("hello\n").logs_nothing();
        let named = through(&proxy).arg("localhost").arg(server.port().to_string());
        hello(named).exits(0).prints("hello\n");
        let gone = through(&proxy).arg("127.0.0.1").arg(peer::free_port().to_string()).run();
        gone.exits(7).fails_at("proxy").logs(&proxy).logs("could not reach");
    }
}

#[test]
fn socks_login_is_sent_and_checked() {
    let Some((_proxy, port)) = microsocks(&["-u", "ann", "-P", "se cret"]) else { return };
    peer::wait_for_listener(port);
    let server = sockit("tcp-server --service echo").serve();
    let login =
        |login: &str| through(&format!("socks5h://{login}127.0.0.1:{port}")).to(server.addr());
    login("ann:se%20cret@").and("--send hello").run().exits(0).prints("hello\n");
    let wrong = login("ann:wrongsecret@").and("-vv --json").stdin("hello").run();
    wrong.exits(97).never_logs("wrongsecret");
    login("").stdin("hello").run().exits(97).fails_at("proxy").logs("hint:");
}

#[test]
fn http_proxy_connects_and_its_refusal_exits_97() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let server = sockit("tcp-server --service echo").serve();
    let rules = format!("BasicAuth ann secret\nConnectPort {}", server.port());
    let Some((_proxy, port)) = tinyproxy(&dir, &rules) else { return };
    peer::wait_for_listener(port);
    let login = |login: &str| through(&format!("http://{login}127.0.0.1:{port}"));
    // tinyproxy closes at a half-close, so the script waits for its answer first.
    let right = login("ann:secret@").to(server.addr()).and("--send hello").run();
    right.exits(0).prints("hello\n");
    let wrong = login("ann:wrongsecret@").to(server.addr()).and("-vv").run();
    wrong.exits(97).logs("sockit: proxy").never_logs("wrongsecret");
    login("").to(server.addr()).run().exits(97).fails_at("proxy").logs("hint:");
    let other = login("ann:secret@").arg("127.0.0.1").arg(peer::free_port().to_string()).run();
    other.exits(97).fails_at("proxy").logs("403");
}

#[cfg(feature = "http")]
#[test]
fn http_proxy_asking_for_login_is_97_for_every_scheme() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let Some((_proxy, port)) = tinyproxy(&dir, "BasicAuth ann secret") else { return };
    peer::wait_for_listener(port);
    let server = sockit("tcp-server --once --reply x --until GET --greeting")
        .arg("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let server = server.serve();
    let get = |login: &str, scheme: &str| {
        let proxy = format!("http://{login}127.0.0.1:{port}");
        let url = format!("{scheme}://127.0.0.1:{}/", server.port());
        sockit("http-get -q --proxy").arg(proxy).arg(url).run()
    };
    for scheme in ["http", "https"] {
        let run = get("", scheme);
        run.exits(97).fails_at("proxy").prints("").logs("hint: a login is written");
    }
    // tinyproxy answers a wrong login with a 401, as a server does.
    let wrong = get("ann:wrongsecret@", "http");
    wrong.exits(22).logs("the proxy refuses its login").never_logs("wrongsecret");
    get("ann:secret@", "http").exits(0).prints("hello");
}

#[cfg(feature = "tls")]
#[test]
fn tls_through_a_proxy_verifies_the_target() {
    use crate::support::certificates::Authority;
    let Some((_proxy, port)) = microsocks(&[]) else { return };
    peer::wait_for_listener(port);
    let authority = Authority::new();
    let bytes: Vec<u8> = (0..=250).cycle().take(4 << 20).collect();
    let server = sockit("tcp-server --service pipe --once --tls --cert");
    let server = server.arg(authority.certificate(&["localhost"])).stdin(&bytes).serve();
    let client = through(&format!("socks5h://127.0.0.1:{port}")).arg("localhost");
    let client = client.arg(server.port().to_string()).and("--tls --ca-file").arg(authority.ca());
    let run = client.and("--recv-only").run();
    run.exits(0);
    assert!(run.stdout == bytes);
}

#[test]
fn unreachable_proxy_exits_7_and_is_named() {
    for scheme in ["socks5", "socks5h", "http"] {
        let proxy = format!("{scheme}://127.0.0.1:{}", peer::free_port());
        let run = through(&proxy).arg("127.0.0.1").arg("9").run();
        run.exits(7).fails_at("proxy").logs(&proxy).logs("refused");
    }
    through("ftp://127.0.0.1:1").arg("127.0.0.1").arg("9").run().exits(2);
}

/// A SOCKS proxy that accepts any request and then echoes; returns the target of the request.
fn accepting_proxy() -> peer::Peer<Vec<u8>> {
    peer::peer(|mut stream| {
        stream.expect_bytes([5, 1, 0]);
        stream.send([5, 0]);
        let mut request = vec![0; 5];
        std::io::Read::read_exact(&mut stream, &mut request).expect("a request");
        let mut rest = vec![0; usize::from(request[4]) + 2];
        std::io::Read::read_exact(&mut stream, &mut rest).expect("a request");
        // The target sends first, in the same segment as the reply.
        stream.send([&[5, 0, 0, 1, 127, 0, 0, 1, 0, 7][..], b"early "].concat());
        let received = stream.read_all();
        stream.send(received);
        rest
    })
}

#[test]
fn internationalized_name_reaches_the_proxy_in_ascii() {
    let proxy = accepting_proxy();
    let url = format!("socks5h://{}", proxy.addr());
    let client = through(&url).arg("bücher.example").arg("7").stdin("late");
    client.run().exits(0).prints("early late");
    assert_eq!(proxy.outcome(), b"xn--bcher-kva.example\0\x07");
}

#[test]
fn all_proxy_is_not_used_for_local_targets() {
    let proxy = accepting_proxy();
    let url = format!("socks5h://{}", proxy.addr());
    let client = sockit("tcp-client target.example 7").env("ALL_PROXY", &url).stdin("late");
    client.run().exits(0).prints("early late");
    assert_eq!(proxy.outcome(), b"target.example\0\x07");

    let server = sockit("tcp-server --service echo").serve();
    let nowhere = format!("socks5h://127.0.0.1:{}", peer::free_port());
    let local = sockit("tcp-client").to(server.addr()).env("ALL_PROXY", &nowhere).stdin("x");
    local.run().exits(0).prints("x");
    let excepted = sockit("tcp-client target.example 7").env("ALL_PROXY", &nowhere);
    let excepted = excepted.env("NO_PROXY", "example").run();
    excepted.exits(6).fails_at("resolve");
    sockit("tcp-client target.example 7").env("ALL_PROXY", &nowhere).run().exits(7);
}

#[test]
fn proxy_of_environment_that_fails_names_its_variable() {
    use std::os::unix::ffi::OsStrExt;
    for word in ["3128", "x:y:z", "http://h:99999", "socks9://h:1", "no such proxy"] {
        let run = sockit("tcp-client target.example 7").env("ALL_PROXY", word).run();
        run.exits(2).fails_at("proxy").logs("ALL_PROXY");
    }
    let dead = format!("http://127.0.0.1:{}", peer::free_port());
    let run = sockit("tcp-client target.example 7").env("all_proxy", &dead).run();
    run.exits(7)
        .fails_at("proxy")
        .logs("hint: the environment variable all_proxy selects this proxy");
    // A value that is not UTF-8 is an error and not ignored.
    let odd = std::ffi::OsStr::from_bytes(b"ALL_PROXY=http://\xff\xfe:1");
    let under = [std::ffi::OsStr::new("env"), odd];
    let run = sockit("tcp-client target.example 7").under(under).run();
    run.exits(2).logs("ALL_PROXY");
}

#[test]
fn silent_proxy_exits_28_at_the_connect_timeout() {
    let proxy = peer::peer(|mut stream| stream.wait_for_close());
    let run = through(&format!("socks5h://{}", proxy.addr()))
        .and("--connect-timeout 300ms target.example 7")
        .run();
    run.exits(28).fails_at("proxy").logs("greeting").logs("timed out after 300ms");
}

#[test]
fn proxy_with_a_line_break_is_usage_error() {
    let broken = "http://127.0.0.1:1\r\nX: y";
    sockit("tcp-client target.example 7").env("ALL_PROXY", broken).run().exits(2).logs("ALL_PROXY");
    through(broken).and("target.example 7").run().exits(2);
}
