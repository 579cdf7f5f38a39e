//! Long requests, and peers that do not read them.

use std::io::Read;
use std::thread;
use std::time::Duration;

use crate::support::peer::{Script, peer};
use crate::support::sockit::{Sockit, sockit};

/// A request of 1.5 MB with a small send buffer.
fn long(addr: std::net::SocketAddr) -> Sockit {
    let mut get = sockit("http-get --send-buffer 8k").arg(format!("http://{addr}/"));
    for n in 0..15 {
        get = get.arg("-H").arg(format!("X-{n}: {}", "x".repeat(100_000)));
    }
    get
}

#[test]
fn reset_during_the_request_exits_18() {
    let remote = peer(|mut stream| {
        stream.expect_bytes("G");
        stream.reset();
    });
    let run = long(remote.addr()).and("--json").run();
    run.exits(18).prints("");
    assert_eq!(run.events_named("closed")[0]["ended_by"], "reset");
}

#[test]
fn response_before_the_end_of_the_request_is_read() {
    let hasty = peer(|mut stream| {
        stream.expect_bytes("GET / HTTP/1.1\r\n");
        stream.send("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nlong");
        stream
    });
    long(hasty.addr()).run().exits(22).prints("long").logs("413");
    drop(hasty.outcome());
}

#[test]
fn slow_reader_gets_the_complete_request() {
    let slow = peer(|mut stream| {
        let mut received = Vec::new();
        let mut piece = [0; 20_000];
        while !received.ends_with(b"\r\n\r\n") {
            let n = stream.read(&mut piece).expect("more of the request");
            received.extend_from_slice(&piece[..n]);
            thread::sleep(Duration::from_millis(1));
        }
        stream.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell");
        received.len()
    });
    long(slow.addr()).run().exits(0).prints("well");
    assert!(slow.outcome() > 1_500_000);
}
