//! Partial responses: the received range is the announced one, and two versions are never merged
//! into one file.

use std::fs;

use super::download_dir::DownloadDir;
use crate::support::origin::{Answer, ok, origin};

/// A response 206 with these fields.
fn piece(lines: &[&str], body: &str) -> Vec<u8> {
    format!("HTTP/1.1 206 Part\r\n{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes()
}

fn range(range: &str, body: &str) -> Vec<u8> {
    let (range, length) =
        (format!("Content-Range: bytes {range}"), format!("Content-Length: {}", body.len()));
    piece(&[&range, &length, "ETag: \"v1\""], body)
}

fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

/// A directory with a part of five of ten bytes.
fn half() -> DownloadDir {
    let downloads = DownloadDir::new();
    let cut = "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n01234";
    downloads.get(&origin([cut]), "-q").run().exits(18);
    downloads
}

#[test]
fn short_range_exits_18_and_is_continued() {
    let downloads = half();
    let server = origin([range("5-7/10", "567"), range("8-9/10", "89")]);
    let run = downloads.get(&server, "-q --continue").run();
    run.exits(18).logs("got 8 of 10").logs("resume with --continue").fails_at("receive");
    assert_eq!(downloads.names(), ["f.part"]);
    downloads.get(&server, "-q --continue").run().exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some("0123456789"));
    assert!(server.requests()[1].contains("Range: bytes=8-\r\nIf-Range: \"v1\"\r\n"));
}

#[test]
fn body_length_must_match_content_range() {
    let lines = ["Content-Range: bytes 5-9/10", "ETag: \"v1\"", "Transfer-Encoding: chunked"];
    for (lines, body, code, says) in [
        (&lines[..2], "567".to_string(), 18, "got 3 of 5 bytes"),
        (&lines[..], chunked("567"), 18, "got 3 of 5 bytes"),
        (&lines[..2], "56789ab".to_string(), 8, "more bytes"),
        (&lines[..], chunked("56789ab"), 8, "more bytes"),
        (&lines[..2], "56789".to_string(), 0, ""),
        (&lines[..], chunked("56789"), 0, ""),
    ] {
        let downloads = half();
        let run = downloads.get(&origin([piece(lines, &body)]), "-q --continue").run();
        run.exits(code).logs(says);
        let name = if code == 0 { "f" } else { "f.part" };
        assert_eq!(downloads.names(), [name], "{body}");
        let held = downloads.read(name).unwrap();
        assert!("0123456789".starts_with(&held) && held.len() > 7, "{body}: {held}");
    }
    let short = origin([piece(&lines[..2], "567")]);
    short.get("-q --range 5-").run().exits(18).prints("567").logs("got 3 of 5 bytes");
}

#[test]
fn range_that_was_not_requested_exits_8() {
    for (requested, sent) in
        [("-3", "0-2/10"), ("-3", "5-9/10"), ("0-4", "0-9/10"), ("5-", "4-9/10")]
    {
        let (from, to) = sent.split_once('/').unwrap().0.split_once('-').unwrap();
        let length = to.parse::<usize>().unwrap() - from.parse::<usize>().unwrap() + 1;
        let server = origin([range(sent, &"x".repeat(length))]);
        server.get(&format!("-q --range {requested}")).run().exits(8).prints("");
    }
    let length = "Content-Length: 3";
    for lines in
        [&[length][..], &[length, "Content-Range: bytes 7-9/10", "Content-Range: bytes 6-8/10"]]
    {
        origin([piece(lines, "789")]).get("-q --range -3").run().exits(8).prints("");
    }
    origin([range("7-9/10", "789")]).get("-q --range -3").run().exits(0).prints("789");
    let early = origin([range("0-2/10", "012")]).get("-q --range 0-4").run();
    early.exits(18).prints("012").logs("got 3 of 5");
}

#[test]
fn range_of_an_encoded_body_is_delivered_as_received() {
    let lines = ["Content-Range: bytes 0-4/30", "Content-Encoding: gzip"];
    let run = origin([piece(&lines, "01234")]).get("--range 0-4").run();
    run.exits(0).prints("01234").logs("it is not decoded");
}

#[test]
fn part_of_a_single_range_is_never_continued() {
    let whole = ok("0123456789");
    let head = "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\n";
    for (flags, answer) in [
        ("--range 5-", piece(&["Content-Range: bytes 5-9/10", "Content-Length: 5"], "56")),
        (
            "-H 'Range: bytes=5-'",
            piece(&["Content-Range: bytes 5-9/10", "Content-Length: 5"], "56"),
        ),
        ("--raw", format!("{head}Content-Length: 10\r\n\r\n012").into_bytes()),
        (
            "--no-decode",
            format!("{head}Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\n012").into(),
        ),
        ("--any-status", b"HTTP/1.1 404 No\r\nContent-Length: 10\r\n\r\n012".to_vec()),
    ] {
        let downloads = DownloadDir::new();
        let server = origin([answer, whole.clone()]);
        downloads.get(&server, flags).and("-q").run().exits(18).never_logs("--continue");
        assert_eq!(downloads.names(), ["f.part"], "{flags}");
        downloads.get(&server, "-q --continue").run().exits(0);
        assert_eq!(downloads.read("f").as_deref(), Some("0123456789"), "{flags}");
        assert!(!server.requests()[1].contains("Range"), "{}", server.requests()[1]);
    }
    // Also after a run that was killed.
    let downloads = DownloadDir::new();
    let cut = piece(&["Content-Range: bytes 5-9/10", "Content-Length: 5"], "56");
    let server = origin([Answer::ThenSilence(cut), Answer::Bytes(whole.clone())]);
    let run = downloads.get(&server, "-q --range 5-").start();
    downloads.wait_for_content("f.part", "56");
    run.signal(9);
    run.wait();
    downloads.get(&server, "-q --continue").run().exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some("0123456789"));
}

#[test]
fn file_of_a_range_is_never_continued() {
    let downloads = DownloadDir::new();
    let server = origin([range("5-9/10", "56789"), ok("0123456789")]);
    downloads.get(&server, "-q --range 5-").run().exits(0);
    downloads.get(&server, "-q --continue").run().exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some("0123456789"));
    assert!(!server.requests()[1].contains("Range"), "{}", server.requests()[1]);
}

#[test]
fn continue_with_another_date_starts_again() {
    let downloads = DownloadDir::new();
    let date = |day| format!("Last-Modified: Tue, {day} Nov 1994 08:12:31 GMT");
    let cut = format!("HTTP/1.1 200 OK\r\n{}\r\nContent-Length: 10\r\n\r\n01234", date(15));
    let rest = |day| piece(&["Content-Range: bytes 5-9/10", &date(day)], "56789");
    downloads.get(&origin([&cut]), "-q").run().exits(18);
    downloads.get(&origin([rest(15)]), "-q --continue").run().exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some("0123456789"));
    fs::remove_file(downloads.path("f")).unwrap();

    downloads.get(&origin([&cut]), "-q").run().exits(18);
    let server = origin([rest(16), ok("all of it new")]);
    downloads.get(&server, "-q --continue").run().exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some("all of it new"));
}

#[test]
fn status_of_continue_has_its_usual_exit_code() {
    let answer = |status: &str| {
        format!("HTTP/1.1 {status}\r\nLocation: /y\r\nContent-Length: 4\r\n\r\npage")
    };
    let downloads = half();
    downloads.get(&origin([answer("404 No")]), "-q --continue").run().exits(22);
    downloads.get(&origin([answer("304 Same")]), "-q --continue").run().exits(0);
    assert_eq!(downloads.read("f.part").as_deref(), Some("01234"));
    for (flags, status) in [("--max-redirects 0", "302 Found"), ("--any-status", "404 No")] {
        let downloads = half();
        downloads.get(&origin([answer(status)]), flags).and("-q --continue").run().exits(0);
        assert_eq!(downloads.read("f").as_deref(), Some("page"), "{flags}");
        assert_eq!(downloads.names(), ["f"]);
    }
}

#[test]
fn retry_continues_the_locked_part() {
    let downloads = half();
    let broken = |range: &str, body: &str| {
        let lines = [format!("Content-Range: bytes {range}"), "Content-Length: 5".to_string()];
        piece(&[&lines[0], &lines[1], "ETag: \"v1\""], body)
    };
    let server = origin([broken("5-9/10", "567"), range("8-9/10", "89")]);
    downloads.get(&server, "-q --continue --retry 1 --retry-delay 0").run().exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some("0123456789"));
    assert!(server.requests()[1].contains("Range: bytes=8-\r\n"), "{}", server.requests()[1]);
}
