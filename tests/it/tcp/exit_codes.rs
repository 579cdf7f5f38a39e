//! Every exit code of `tcp-client` and `tcp-server`; each row of the table causes one.

use crate::support::namespace::Namespace;
use crate::support::peer::{self, Script, peer};
use crate::support::process::Process;
use crate::support::sockit::{LIMIT, Sockit, copy_sockit, sockit};

/// One cause of an exit code.
struct Row {
    what: &'static str,
    code: i32,
    /// The phase of the error line; `None` without an error line.
    phase: Option<&'static str>,
    run: fn() -> Sockit,
}

fn row(what: &'static str, code: i32, phase: &'static str, run: fn() -> Sockit) -> Row {
    Row { what, code, phase: Some(phase).filter(|p| !p.is_empty()), run }
}

/// tcp-client against a peer with this script, whose result is ignored.
fn against<T: Send + 'static>(
    line: &str,
    script: impl FnOnce(std::net::TcpStream) -> T + Send + 'static,
) -> Sockit {
    sockit("tcp-client").and(line).to(peer(script).addr())
}

fn stays_open(mut stream: std::net::TcpStream) -> bool {
    stream.wait_for_close()
}

#[test]
fn every_exit_code_is_reached() {
    let table = [
        row("a session", 0, "", || against("", drop)),
        row("an unmet --expect", 1, "", || against("--expect never --timeout 1s", stays_open)),
        row("a port that is too large", 2, "", || sockit("tcp-client 127.0.0.1 65536")),
        row("a negative port", 2, "", || sockit("tcp-client -- 127.0.0.1 -1")),
        row("no such flag", 2, "", || sockit("tcp-client --no-such-flag")),
        row("no such command", 2, "", || sockit("tcp-cleint")),
        row("a malformed duration", 2, "", || sockit("tcp-client --timeout 5parsecs")),
        row("a malformed size", 2, "", || sockit("tcp-client --rate lots")),
        row("a malformed address", 2, "", || sockit("tcp-client [::1 80")),
        row("an IPv6 address without its bracket", 2, "", || sockit("tcp-client [::1")),
        row("a malformed rule", 2, "", || sockit("tcp-server --port 0 --allow 10.0.0.0/99")),
        row("no such service", 2, "", || sockit("tcp-server --port 0 --service no-such")),
        row("a malformed expression", 2, "", || sockit("tcp-client --expect '['")),
        row("no such service name", 6, "port", || sockit("tcp-client 127.0.0.1 no-such-service")),
        row("refused", 7, "connect", || {
            // No test listens on port 1 of this loopback address.
            sockit("tcp-client 127.99.98.97 1")
        }),
        row("reset after data", 18, "receive", || {
            against("", |mut stream| {
                stream.send("x");
                stream.reset();
            })
            .stdin_open()
        }),
        row("a full disk", 23, "stdout", || {
            against("", |mut stream| stream.send("x")).redirect(">/dev/full")
        }),
        row("an output that cannot be created", 23, "", || {
            against("--output /no/such/dir/file", drop)
        }),
        row("a missing input", 26, "file", || against("--input /no/such/file", drop)),
        row("a missing rule file", 26, "file", || {
            sockit("tcp-server --port 0 --allow @/no/such/file")
        }),
        row("the run takes too long", 28, "receive", || {
            against("--timeout 3s", stays_open).stdin_open()
        }),
        row("no data", 28, "receive", || against("--idle-timeout 200ms", stays_open).stdin_open()),
        row("no client connects", 28, "listen", || {
            sockit("tcp-server --port 0 --accept-timeout 200ms")
        }),
        row("an address of another machine", 45, "bind", || {
            sockit("tcp-server --host 192.0.2.1 --port 0")
        }),
        row("reset before data", 56, "receive", || against("", Script::reset).stdin_open()),
    ];
    for row in table {
        let run = (row.run)().run();
        assert_eq!(run.code, row.code, "{}\n{}", row.what, run.stderr);
        assert!(!run.stderr.contains("internal error"), "{}\n{}", row.what, run.stderr);
        if let Some(phase) = row.phase {
            run.fails_at(phase);
        }
        if row.code != 0 && row.code != 1 && row.phase.is_none() {
            assert!(!run.stderr.is_empty(), "{}: no message", row.what);
        }
    }
}

#[test]
fn port_in_use_exits_45_with_a_hint() {
    let open_peer = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = open_peer.local_addr().unwrap().port();
    let run = sockit(&format!("tcp-server --port {port}")).run();
    run.exits(45).fails_at("bind").logs("Address already in use").logs(&port.to_string());
}

#[test]
fn privileged_port_exits_45_with_a_hint() {
    let Some(_) = peer::program("setpriv") else { return };
    let root = rustix::process::geteuid().is_root();
    let lowest = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if !root || lowest.is_ok_and(|n| n.trim().parse().is_ok_and(|n: u16| n < 1024)) {
        eprintln!("skipped: every user may bind low ports here, or this is not root");
        return;
    }
    // A user without privileges may not reach the target folder: copy the binary.
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let copy = dir.path().join("sockit");
    copy_sockit(&copy);
    open_to_all(dir.path());
    let mut unprivileged = std::process::Command::new("setpriv");
    unprivileged.args([
        "--reuid=65534",
        "--clear-groups",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ]);
    unprivileged.arg(&copy).args(["tcp-server", "--port", "879"]);
    unprivileged.stdin(std::process::Stdio::null());
    unprivileged.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let run = Process::start(unprivileged, Some(Vec::new()), LIMIT).wait();
    run.exits(45).fails_at("bind").logs("Permission denied").logs("hint:");
}

fn open_to_all(dir: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn signal_exits_128_plus_its_number() {
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let open_peer = peer(stays_open);
        let client = sockit("tcp-client -v").to(open_peer.addr()).stdin_open().start();
        client.wait_for_log("Connected to");
        client.signal(signal);
        client.wait().exits(code);
    }
}

#[test]
fn unanswered_connect_exits_28() {
    let silent = peer::Unanswering::on(([127, 0, 0, 1], 0).into());
    let run = sockit("tcp-client --connect-timeout 300ms").to(silent.addr()).run();
    run.exits(28).fails_at("connect");
}

#[test]
fn unknown_name_exits_6() {
    let Some(run) = Namespace::new().nsswitch("hosts: files").run("tcp-client no-such-name 80")
    else {
        return;
    };
    run.exits(6).fails_at("resolve").logs("no-such-name");
}

#[test]
fn failing_resolver_exits_75() {
    // No server listens on port 53 of this namespace: the resolver fails temporarily.
    let namespace = Namespace::new().nsswitch("hosts: dns").resolv("nameserver 127.0.0.1");
    let Some(run) = namespace.run("tcp-client some-name.example 80 --timeout 15s") else { return };
    run.exits(75).fails_at("resolve").logs("some-name.example");
}

#[test]
fn silent_resolver_exits_28() {
    let namespace = Namespace::new()
        .nsswitch("hosts: dns")
        .resolv("nameserver 127.0.0.1")
        .before("socat -u UDP-RECV:53 OPEN:/dev/null &");
    let limit = "tcp-client some-name.example 80 --timeout 400ms";
    let Some(run) = peer::program("socat").and_then(|_| namespace.run(limit)) else { return };
    // Before socat listens, the resolver fails instead of timing out.
    assert!([28, 75].contains(&run.code), "{}", run.stderr);
    run.fails_at("resolve");
}
