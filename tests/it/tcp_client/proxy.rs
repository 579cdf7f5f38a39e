//! By way of a proxy: microsocks and tinyproxy, and one that lies.

use std::process::Stdio;

use crate::support::peer::{self, Script};
use crate::support::process::Running;
use crate::support::sockit::{LIMIT, Sockit, sockit};

/// A real SOCKS proxy on this port.
fn microsocks(args: &[&str]) -> Option<(Running, u16)> {
    let mut command = peer::program("microsocks")?;
    let port = peer::free_port();
    command.args(["-i", "127.0.0.1", "-p", &port.to_string()]).args(args);
    Some((start(command), port))
}

/// A real HTTP proxy, with these lines in its configuration.
fn tinyproxy(dir: &tempfile::TempDir, lines: &str) -> Option<(Running, u16)> {
    let mut command = peer::program("tinyproxy")?;
    let port = peer::free_port();
    let config = dir.path().join("tinyproxy.conf");
    std::fs::write(&config, format!("Port {port}\nListen 127.0.0.1\nTimeout 20\n{lines}\n"))
        .expect("a file");
    command.arg("-d").arg("-c").arg(&config);
    Some((start(command), port))
}

fn start(mut command: std::process::Command) -> Running {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Running::start(command, None, LIMIT)
}

fn by(proxy: &str) -> Sockit {
    sockit("tcp-client --proxy").arg(proxy)
}

#[test]
fn socks_joins_us_to_addresses_and_names() {
    let Some((_proxy, port)) = microsocks(&[]) else { return };
    peer::wait_for_listener(port);
    let server = sockit("tcp-server --service echo").serve();
    for scheme in ["socks5", "socks5h"] {
        let proxy = format!("{scheme}://127.0.0.1:{port}");
        // microsocks takes a half-close for the end, so the answer must come before it.
        let hello = |client: Sockit| client.and("--send hello").run();
        hello(by(&proxy).to(server.addr())).exits(0).prints("hello\n").is_silent();
        let named = by(&proxy).arg("localhost").arg(server.port().to_string());
        hello(named).exits(0).prints("hello\n");
        let gone = by(&proxy).arg("127.0.0.1").arg(peer::free_port().to_string()).run();
        gone.exits(7).fails_at("proxy").says(&proxy).says("could not reach");
    }
}

#[test]
fn socks_with_a_login() {
    let Some((_proxy, port)) = microsocks(&["-u", "ann", "-P", "se cret"]) else { return };
    peer::wait_for_listener(port);
    let server = sockit("tcp-server --service echo").serve();
    let login = |login: &str| by(&format!("socks5h://{login}127.0.0.1:{port}")).to(server.addr());
    login("ann:se%20cret@").and("--send hello").run().exits(0).prints("hello\n");
    let wrong = login("ann:wrongsecret@").and("-vv --json").stdin("hello").run();
    wrong.exits(97).never_says("wrongsecret");
    login("").stdin("hello").run().exits(97).fails_at("proxy").says("hint:");
}

#[test]
fn an_http_proxy_joins_us_and_refuses_by_its_rules() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let server = sockit("tcp-server --service echo").serve();
    let rules = format!("BasicAuth ann secret\nConnectPort {}", server.port());
    let Some((_proxy, port)) = tinyproxy(&dir, &rules) else { return };
    peer::wait_for_listener(port);
    let login = |login: &str| by(&format!("http://{login}127.0.0.1:{port}"));
    // tinyproxy ends the whole relay at a half-close, so the script waits for its answer first.
    let right = login("ann:secret@").to(server.addr()).and("--send hello").run();
    right.exits(0).prints("hello\n");
    let wrong = login("ann:wrongsecret@").to(server.addr()).and("-vv").run();
    wrong.exits(97).says("sockit: proxy").never_says("wrongsecret");
    login("").to(server.addr()).run().exits(97).fails_at("proxy").says("hint:");
    let other = login("ann:secret@").arg("127.0.0.1").arg(peer::free_port().to_string()).run();
    other.exits(97).fails_at("proxy").says("403");
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
        run.exits(97).fails_at("proxy").prints("").says("hint: a login is written");
    }
    // tinyproxy answers a wrong login with a 401, as a server does.
    let wrong = get("ann:wrongsecret@", "http");
    wrong.exits(22).says("the proxy refuses its login").never_says("wrongsecret");
    get("ann:secret@", "http").exits(0).prints("hello");
}

#[cfg(feature = "tls")]
#[test]
fn tls_goes_through_a_proxy_to_the_target() {
    use crate::support::certificates::Authority;
    let Some((_proxy, port)) = microsocks(&[]) else { return };
    peer::wait_for_listener(port);
    let authority = Authority::new();
    let bytes: Vec<u8> = (0..=250).cycle().take(4 << 20).collect();
    let server = sockit("tcp-server --service pipe --once --tls --cert");
    let server = server.arg(authority.paper(&["localhost"])).stdin(&bytes).serve();
    let client = by(&format!("socks5h://127.0.0.1:{port}")).arg("localhost");
    let client = client.arg(server.port().to_string()).and("--tls --ca-file").arg(authority.ca());
    let run = client.and("--recv-only").run();
    run.exits(0);
    assert!(run.stdout == bytes);
}

#[test]
fn a_proxy_that_is_not_there_is_7_and_named() {
    for scheme in ["socks5", "socks5h", "http"] {
        let proxy = format!("{scheme}://127.0.0.1:{}", peer::free_port());
        let run = by(&proxy).arg("127.0.0.1").arg("9").run();
        run.exits(7).fails_at("proxy").says(&proxy).says("refused");
    }
    by("ftp://127.0.0.1:1").arg("127.0.0.1").arg("9").run().exits(2);
}

/// A SOCKS proxy that says yes to anything and then echoes; tells what it was asked for.
fn yes_man() -> peer::Peer<Vec<u8>> {
    peer::peer(|mut stream| {
        stream.hear([5, 1, 0]);
        stream.say([5, 0]);
        let mut asked = vec![0; 5];
        std::io::Read::read_exact(&mut stream, &mut asked).expect("a request");
        let mut rest = vec![0; usize::from(asked[4]) + 2];
        std::io::Read::read_exact(&mut stream, &mut rest).expect("a request");
        // The target speaks first, in the same breath.
        stream.say([&[5, 0, 0, 1, 127, 0, 0, 1, 0, 7][..], b"early "].concat());
        let heard = stream.hear_all();
        stream.say(heard);
        rest
    })
}

#[test]
fn the_environment_names_a_proxy_but_not_for_this_machine() {
    let proxy = yes_man();
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
        run.exits(2).fails_at("proxy").says("ALL_PROXY");
    }
    let dead = format!("http://127.0.0.1:{}", peer::free_port());
    let run = sockit("tcp-client target.example 7").env("all_proxy", &dead).run();
    run.exits(7)
        .fails_at("proxy")
        .says("hint: the environment variable all_proxy selects this proxy");
    // What is not UTF-8 is no proxy, and not none.
    let odd = std::ffi::OsStr::from_bytes(b"ALL_PROXY=http://\xff\xfe:1");
    let under = [std::ffi::OsStr::new("env"), odd];
    let run = sockit("tcp-client target.example 7").under(under).run();
    run.exits(2).says("ALL_PROXY");
}

#[test]
fn a_silent_proxy_costs_the_connect_timeout() {
    let proxy = peer::peer(|mut stream| stream.outlive());
    let run = by(&format!("socks5h://{}", proxy.addr()))
        .and("--connect-timeout 300ms target.example 7")
        .run();
    run.exits(28).fails_at("proxy").says("greeting").says("timed out after 300ms");
}

#[test]
fn a_proxy_of_two_lines_is_none() {
    let broken = "http://127.0.0.1:1\r\nX: y";
    sockit("tcp-client target.example 7").env("ALL_PROXY", broken).run().exits(2).says("ALL_PROXY");
    by(broken).and("target.example 7").run().exits(2);
}
