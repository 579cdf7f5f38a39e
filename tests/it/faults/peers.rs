//! Peers that never read, never write, send slowly, reset or violate the protocol, over each
//! transport.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use super::{each, step};
use crate::support::peer::{Script, does_nothing, peer};
use crate::support::sockit::{LIMIT, Run, sockit};

/// More than all socket buffers hold.
const LARGE: usize = 32 << 20;

fn assert_ends(run: &Run, what: &str, code: i32, phase: &str) {
    let failed_at = run.stderr.lines().find_map(step).unwrap_or_default();
    assert_eq!((run.code, failed_at), (code, phase), "{what}: {}", run.stderr);
}

/// Runs `script` with the first client of a Unix socket.
fn unix_peer(path: &std::path::Path, script: fn(UnixStream)) {
    let listener = UnixListener::bind(path).expect("a socket");
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        script(stream);
    });
}

/// Neither reads nor writes until the other end has closed.
fn stays_open(stream: UnixStream) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(&stream, PollFlags::empty())];
    let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
    let _ = poll(&mut fds, Some(&limit));
}

#[test]
fn peer_that_does_nothing_exits_28() {
    let dir = tempfile::tempdir().expect("a folder");
    for (limit, more, input, phase) in [
        ("--idle-timeout 300ms", "", 0, "receive"),
        ("--idle-timeout 300ms", "", LARGE, "send"),
        ("--idle-timeout 300ms", "--rate 1G/s", LARGE, "send"),
        ("--timeout 3s", "", LARGE, "send"),
        ("--timeout 3s", "--send hello", 0, "receive"),
    ] {
        let input = vec![b'x'; input];
        let quiet = does_nothing();
        let run = sockit("tcp-client").and(limit).and(more).to(quiet.addr()).stdin(&input).run();
        assert_ends(&run, &format!("tcp {limit} {more}"), 28, phase);
        let path = dir.path().join(format!("{limit}{more}{phase}").replace(['/', ' '], "-"));
        unix_peer(&path, stays_open);
        let run = sockit("unix-client").and(limit).and(more).arg(&path).stdin(&input).run();
        assert_ends(&run, &format!("unix {limit} {more}"), 28, phase);
    }
}

#[test]
fn unix_peer_that_closes_early_exits_18() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name);
    // It reads a part and closes.
    unix_peer(&path("deaf"), |mut stream| {
        stream.read_exact(&mut [0; 100]).expect("some bytes");
    });
    let run = sockit("unix-client").arg(path("deaf")).stdin(vec![b'x'; LARGE]).run();
    assert_ends(&run, "closed while sending", 18, "send");
    // It writes and closes without reading.
    unix_peer(&path("rude"), |mut stream| {
        stream.write_all(b"and that is all").expect("some bytes");
    });
    let run = sockit("unix-client").arg(path("rude")).stdin_open().start();
    run.wait_for_output("and that is all");
    run.wait().exits(0);
    // It writes slowly.
    unix_peer(&path("drip"), |mut stream| {
        for byte in b"drop by drop" {
            stream.write_all(&[*byte]).expect("a byte");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let run = sockit("unix-client --idle-timeout 5").arg(path("drip")).run();
    run.exits(0).prints("drop by drop");
}

/// Runs a client through a proxy that is played by `script`.
fn run_through(scheme: &str, script: fn(std::net::TcpStream)) -> Run {
    let proxy = peer(script);
    let url = format!("{scheme}://{}", proxy.addr());
    let client = sockit("tcp-client target.example 7 --connect-timeout 1500ms --proxy").arg(url);
    client.stdin("hello").run()
}

#[test]
fn misbehaving_proxy_has_its_exit_code() {
    type Row = (&'static str, &'static str, fn(std::net::TcpStream), i32);
    let rows: [Row; 12] = [
        ("closes immediately", "socks5h", drop, 8),
        ("resets immediately", "socks5h", |s| s.reset(), 8),
        ("sends nothing", "socks5h", |mut s| assert!(s.wait_for_close()), 28),
        (
            "sends slowly for ever",
            "http",
            |mut s| repeat(&mut s, b"H", Duration::from_millis(100)),
            8,
        ),
        ("floods", "http", |mut s| flood(&mut s), 63),
        ("uses another protocol", "socks5h", |mut s| s.send("HTTP/1.1 200 OK\r\n\r\n"), 8),
        (
            "requires a login",
            "socks5h",
            |mut s| {
                s.send([5, 0xff]);
                s.wait_for_close();
            },
            97,
        ),
        (
            "cannot reach the target",
            "socks5h",
            |mut s| {
                s.send([5, 0, 5, 4, 0, 1, 0, 0, 0, 0, 0, 0]);
                s.wait_for_close();
            },
            7,
        ),
        (
            "forbids it",
            "socks5h",
            |mut s| {
                s.send([5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0]);
                s.wait_for_close();
            },
            97,
        ),
        ("closes in its answer", "socks5h", |mut s| s.send([5, 0, 5, 0]), 8),
        ("uses another protocol", "http", |mut s| s.send([5, 0]), 8),
        (
            "refuses",
            "http",
            |mut s| {
                s.send("HTTP/1.1 403 No\r\n\r\n");
                s.wait_for_close();
            },
            97,
        ),
    ];
    each(&rows, |(what, scheme, script, code)| {
        assert_ends(&run_through(scheme, *script), what, *code, "proxy");
        Ok(())
    });
}

/// Sends the same bytes repeatedly until the other end has closed.
fn repeat(stream: &mut std::net::TcpStream, bytes: &[u8], apart: Duration) {
    while stream.write_all(bytes).is_ok() {
        std::thread::sleep(apart);
    }
}

fn flood(stream: &mut std::net::TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
    while stream.write_all(&[&b"X-Padding: "[..], &[b'x'; 4096], b"\r\n"].concat()).is_ok() {}
}

#[test]
fn slow_proxy_answer_is_read_completely() {
    let proxy = peer(|mut stream| {
        stream.send_slowly([5, 0], Duration::from_millis(10));
        let mut asked = [0; 4 + 1 + 14 + 2 + 3];
        stream.read_exact(&mut asked).expect("greeting and request");
        stream.send_slowly([5, 0, 0, 1, 0, 0, 0, 0, 0, 0], Duration::from_millis(10));
        let received = stream.read_all();
        stream.send(received);
    });
    let url = format!("socks5h://{}", proxy.addr());
    let run = sockit("tcp-client target.example 7 --proxy").arg(url).stdin("hello").run();
    run.exits(0).prints("hello");
}

#[cfg(feature = "tls")]
#[test]
fn misbehaving_tls_peer_has_its_exit_code() {
    type Row = (&'static str, fn(std::net::TcpStream), &'static [i32]);
    let rows: [Row; 6] = [
        ("closes immediately", drop, &[35]),
        ("resets immediately", |s| s.reset(), &[35]),
        ("sends nothing", |mut s| assert!(s.wait_for_close()), &[28]),
        (
            "sends a record slowly for ever",
            |mut s| {
                s.send([0x16, 3, 3, 0x3f, 0xff]);
                repeat(&mut s, &[2], Duration::from_millis(100));
            },
            &[28, 35],
        ),
        (
            "sends an alert",
            |mut s| {
                s.send([0x15, 3, 3, 0, 2, 2, 40]);
                s.wait_for_close();
            },
            &[35],
        ),
        (
            "uses another protocol",
            |mut s| {
                s.send("220 mail.example ESMTP\r\n");
                s.wait_for_close();
            },
            &[35],
        ),
    ];
    let lines = ["tcp-client --tls --insecure", "http-get --insecure"];
    let rows: Vec<_> = rows.iter().flat_map(|row| lines.map(|line| (line, row))).collect();
    each(&rows, |(line, (what, script, codes))| {
        if line.starts_with("http") && cfg!(not(feature = "http")) {
            return Ok(());
        }
        let peer = peer(*script);
        let run = client_of(line, peer.addr()).and("--connect-timeout 1500ms").run();
        match (codes.contains(&run.code), run.stderr.lines().find_map(step)) {
            (true, Some("tls")) => Ok(()),
            _ => Err(format!("{line} {what}: {} {}", run.code, run.stderr)),
        }
    });
}

#[cfg(feature = "tls")]
fn client_of(line: &str, peer: std::net::SocketAddr) -> crate::support::sockit::Sockit {
    if line.starts_with("http") {
        sockit(line).arg(format!("https://{peer}/"))
    } else {
        sockit(line).to(peer).stdin("hello")
    }
}

#[test]
fn server_survives_misbehaving_clients() {
    let lines = [
        "tcp-server --idle-timeout 300ms",
        "tcp-server --idle-timeout 300ms --service echo",
        "tcp-server --idle-timeout 300ms --service chargen",
        "tcp-server --idle-timeout 300ms --service chat",
        "tcp-server --idle-timeout 300ms --exec cat",
        #[cfg(feature = "tls")]
        "tcp-server --idle-timeout 300ms --tls --service echo",
    ];
    each(&lines, |line| {
        let server = sockit(line).serve();
        std::thread::scope(|scope| {
            for misbehave in [never_reads, never_writes, sends_garbage, resets_midway] {
                let client = crate::support::peer::connect(server.addr());
                scope.spawn(move || misbehave(client));
            }
        });
        server.wait_for_log_times("closed.", 4);
        let run = server.stop();
        if run.code == 0 && !run.stderr.contains("internal error") {
            Ok(())
        } else {
            Err(format!("{line}: {} {}", run.code, run.stderr))
        }
    });
}

/// Writes without reading.
fn never_reads(mut client: std::net::TcpStream) {
    client.set_write_timeout(Some(Duration::from_millis(100))).expect("a limit");
    let _ = client.write_all(&vec![b'x'; 4 << 20]);
    client.wait_for_fin();
}

/// Never writes.
fn never_writes(mut client: std::net::TcpStream) {
    client.wait_for_fin();
}

/// Sends bytes of no protocol.
fn sends_garbage(mut client: std::net::TcpStream) {
    let _ = client.write_all(&(0..=255).cycle().take(9000).collect::<Vec<u8>>());
    client.wait_for_fin();
}

/// Resets in the middle of a message.
fn resets_midway(mut client: std::net::TcpStream) {
    let _ = client.write_all(b"hel");
    client.reset();
}
