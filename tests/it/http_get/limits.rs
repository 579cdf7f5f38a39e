//! Speed: at most `--rate`, at least `--speed-limit`; and connections over a Unix socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use super::download_dir::DownloadDir;
use crate::support::origin::{Answer, ok, origin};
use crate::support::sockit::sockit;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";

#[test]
fn rate_limits_receiving_and_loses_nothing() {
    let body = "x".repeat(40_000);
    let run = origin([ok(&body)]).get("-q --rate 100k/s").run();
    run.exits(0).prints(&body);
    assert!(run.took >= Duration::from_millis(300), "{:?}", run.took);
    let downloads = DownloadDir::new();
    let run = downloads.get(&origin([ok(&body)]), "-q --rate 100k/s").run();
    run.exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some(body.as_str()));
    assert!(run.took >= Duration::from_millis(300), "{:?}", run.took);
}

#[test]
fn peer_below_speed_limit_exits_28() {
    let drip = |text: &str| {
        let bytes = [HEAD.as_bytes(), text.as_bytes()].concat();
        origin([Answer::ThenSilence(bytes)])
    };
    let flags = "-q --speed-limit 1k/s --speed-time 300ms --idle-timeout 20s";
    for (begin, got) in [("", 0), ("hello", 5)] {
        let run = drip(begin).get(flags).run();
        run.exits(28).fails_at("receive").logs("slower than 1000 bytes/s over 300ms");
        run.logs(&format!("got {got} of 1000000 bytes")).prints(begin);
    }
    // A peer that sends nothing, and one that sends very slowly.
    origin([Answer::ThenSilence(Vec::new())]).get(flags).run().exits(28).fails_at("receive");
    let endless = Answer::Drip(HEAD.repeat(100).into_bytes(), Duration::from_millis(20));
    origin([endless]).get(flags).run().exits(28).fails_at("receive").logs("slower than");
    // A burst does not count for a later period.
    drip(&"x".repeat(500_000)).get(flags).run().exits(28).logs("got 500000 of");
}

#[test]
fn peer_above_speed_limit_is_waited_for() {
    let bytes = Answer::Drip(ok(&"x".repeat(50)), Duration::from_millis(30));
    let run = origin([bytes]).get("-q --speed-limit 1/s --speed-time 2s").run();
    run.exits(0).prints("x".repeat(50));
}

#[test]
fn part_of_slow_peer_is_kept_and_continued() {
    let downloads = DownloadDir::new();
    let bytes = format!("{}hello", HEAD.replace("\r\n\r\n", "\r\nETag: \"1\"\r\n\r\n"));
    let server = origin([Answer::ThenSilence(bytes.into_bytes())]);
    let run = downloads.get(&server, "-q --speed-limit 1k --speed-time 200ms").run();
    run.exits(28).fails_at("receive").logs("--continue");
    assert_eq!(downloads.read("f.part").as_deref(), Some("hello"));
}

#[test]
fn interrupted_transfer_names_continue() {
    for (signal, code) in [(2, 130), (15, 143)] {
        let downloads = DownloadDir::new();
        let bytes = format!("{}hello", HEAD.replace("\r\n\r\n", "\r\nETag: \"1\"\r\n\r\n"));
        let server = origin([Answer::ThenSilence(bytes.into_bytes())]);
        let run = downloads.get(&server, "-q").start();
        downloads.wait_for_content("f.part", "hello");
        run.signal(signal);
        run.wait().exits(code).fails_at("receive").logs("hint:").logs("--continue");
        // There is nothing to continue: the exit code suffices.
        let run = server.get("").start();
        run.wait_for_output("hello");
        run.signal(signal);
        run.wait().exits(code).never_logs("hint:").never_logs("sockit:");
    }
}

#[test]
fn unix_socket_gets_request_under_host_of_url() {
    let downloads = DownloadDir::new();
    let listener = UnixListener::bind(downloads.path("s")).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(crate::support::sockit::LIMIT)).unwrap();
        let mut request = vec![0; 4096];
        let n = stream.read(&mut request).unwrap();
        stream.write_all(&ok("hello")).unwrap();
        String::from_utf8_lossy(&request[..n]).into_owned()
    });
    let get =
        || sockit("http-get --unix").arg(downloads.path("s")).arg("http://docker.example:81/v1");
    get().and("-q").run().exits(0).prints("hello");
    let request = server.join().unwrap();
    assert!(request.starts_with("GET /v1 HTTP/1.1\r\nHost: docker.example:81\r\n"), "{request}");
    get().run().exits(7).fails_at("connect").logs("Connection refused");
    std::fs::remove_file(downloads.path("s")).unwrap();
    get().run().exits(7).fails_at("connect");
}

#[test]
fn unix_beside_proxy_source_or_nothing_is_usage_error() {
    for words in ["--unix s --proxy http://127.0.0.1:1", "--unix s --source 127.0.0.1", "--unix ''"]
    {
        sockit("http-get").and(words).arg("http://h/").run().exits(2).prints("");
    }
    // `--proxy ''` selects no proxy.
    sockit("http-get --unix /nonexistent/s --proxy ''").arg("http://h/").run().exits(7);
}
