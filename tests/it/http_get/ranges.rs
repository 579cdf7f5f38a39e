//! Pieces of a body: what is announced is what comes, and no two files are made into one.

use std::fs;

use super::download_dir::Place;
use crate::support::origin::{Answer, ok, origin};

/// A 206 with these header lines.
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

/// A place in which five of ten bytes came.
fn half() -> Place {
    let place = Place::new();
    let cut = "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n01234";
    place.get(&origin([cut]), "-q").run().exits(18);
    place
}

#[test]
fn a_piece_that_ends_before_the_whole_is_kept_and_gone_on_with() {
    let place = half();
    let server = origin([range("5-7/10", "567"), range("8-9/10", "89")]);
    let run = place.get(&server, "-q --continue").run();
    run.exits(18).says("got 8 of 10").says("resume with --continue").fails_at("receive");
    assert_eq!(place.names(), ["f.part"]);
    place.get(&server, "-q --continue").run().exits(0);
    assert_eq!(place.read("f").as_deref(), Some("0123456789"));
    assert!(server.heard()[1].contains("Range: bytes=8-\r\nIf-Range: \"v1\"\r\n"));
}

#[test]
fn a_body_has_the_length_of_its_piece_whatever_its_framing() {
    let lines = ["Content-Range: bytes 5-9/10", "ETag: \"v1\"", "Transfer-Encoding: chunked"];
    for (lines, body, code, says) in [
        (&lines[..2], "567".to_string(), 18, "got 3 of 5 bytes"),
        (&lines[..], chunked("567"), 18, "got 3 of 5 bytes"),
        (&lines[..2], "56789ab".to_string(), 8, "more bytes"),
        (&lines[..], chunked("56789ab"), 8, "more bytes"),
        (&lines[..2], "56789".to_string(), 0, ""),
        (&lines[..], chunked("56789"), 0, ""),
    ] {
        let place = half();
        let run = place.get(&origin([piece(lines, &body)]), "-q --continue").run();
        run.exits(code).says(says);
        let name = if code == 0 { "f" } else { "f.part" };
        assert_eq!(place.names(), [name], "{body}");
        let held = place.read(name).unwrap();
        assert!("0123456789".starts_with(&held) && held.len() > 7, "{body}: {held}");
    }
    let short = origin([piece(&lines[..2], "567")]);
    short.get("-q --range 5-").run().exits(18).prints("567").says("got 3 of 5 bytes");
}

#[test]
fn pieces_that_were_not_asked_for_are_refused() {
    for (asked, told) in [("-3", "0-2/10"), ("-3", "5-9/10"), ("0-4", "0-9/10"), ("5-", "4-9/10")] {
        let (from, to) = told.split_once('/').unwrap().0.split_once('-').unwrap();
        let length = to.parse::<usize>().unwrap() - from.parse::<usize>().unwrap() + 1;
        let server = origin([range(told, &"x".repeat(length))]);
        server.get(&format!("-q --range {asked}")).run().exits(8).prints("");
    }
    let length = "Content-Length: 3";
    for lines in
        [&[length][..], &[length, "Content-Range: bytes 7-9/10", "Content-Range: bytes 6-8/10"]]
    {
        origin([piece(lines, "789")]).get("-q --range -3").run().exits(8).prints("");
    }
    origin([range("7-9/10", "789")]).get("-q --range -3").run().exits(0).prints("789");
    let early = origin([range("0-2/10", "012")]).get("-q --range 0-4").run();
    early.exits(18).prints("012").says("got 3 of 5");
}

#[test]
fn what_stands_alone_is_never_gone_on_with() {
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
        let place = Place::new();
        let server = origin([answer, whole.clone()]);
        place.get(&server, flags).and("-q").run().exits(18).never_says("--continue");
        assert_eq!(place.names(), ["f.part"], "{flags}");
        place.get(&server, "-q --continue").run().exits(0);
        assert_eq!(place.read("f").as_deref(), Some("0123456789"), "{flags}");
        assert!(!server.heard()[1].contains("Range"), "{}", server.heard()[1]);
    }
    // A killed run leaves its mark too.
    let place = Place::new();
    let cut = piece(&["Content-Range: bytes 5-9/10", "Content-Length: 5"], "56");
    let server = origin([Answer::ThenSilence(cut), Answer::Bytes(whole.clone())]);
    let run = place.get(&server, "-q --range 5-").start();
    place.wait_to_hold("f.part", "56");
    run.signal(9);
    run.wait();
    place.get(&server, "-q --continue").run().exits(0);
    assert_eq!(place.read("f").as_deref(), Some("0123456789"));
}

#[test]
fn a_piece_that_came_whole_is_not_the_beginning_of_a_file() {
    let place = Place::new();
    let server = origin([range("5-9/10", "56789"), ok("0123456789")]);
    place.get(&server, "-q --range 5-").run().exits(0);
    place.get(&server, "-q --continue").run().exits(0);
    assert_eq!(place.read("f").as_deref(), Some("0123456789"));
    assert!(!server.heard()[1].contains("Range"), "{}", server.heard()[1]);
}

#[test]
fn another_date_is_another_body() {
    let place = Place::new();
    let date = |day| format!("Last-Modified: Tue, {day} Nov 1994 08:12:31 GMT");
    let cut = format!("HTTP/1.1 200 OK\r\n{}\r\nContent-Length: 10\r\n\r\n01234", date(15));
    let rest = |day| piece(&["Content-Range: bytes 5-9/10", &date(day)], "56789");
    place.get(&origin([&cut]), "-q").run().exits(18);
    place.get(&origin([rest(15)]), "-q --continue").run().exits(0);
    assert_eq!(place.read("f").as_deref(), Some("0123456789"));
    fs::remove_file(place.path("f")).unwrap();

    place.get(&origin([&cut]), "-q").run().exits(18);
    let server = origin([rest(16), ok("all of it new")]);
    place.get(&server, "-q --continue").run().exits(0);
    assert_eq!(place.read("f").as_deref(), Some("all of it new"));
}

#[test]
fn statuses_mean_with_a_part_what_they_mean_without() {
    let answer = |status: &str| {
        format!("HTTP/1.1 {status}\r\nLocation: /y\r\nContent-Length: 4\r\n\r\npage")
    };
    let place = half();
    place.get(&origin([answer("404 No")]), "-q --continue").run().exits(22);
    place.get(&origin([answer("304 Same")]), "-q --continue").run().exits(0);
    assert_eq!(place.read("f.part").as_deref(), Some("01234"));
    for (flags, status) in [("--max-redirects 0", "302 Found"), ("--any-status", "404 No")] {
        let place = half();
        place.get(&origin([answer(status)]), flags).and("-q --continue").run().exits(0);
        assert_eq!(place.read("f").as_deref(), Some("page"), "{flags}");
        assert_eq!(place.names(), ["f"]);
    }
}

#[test]
fn retries_continue_what_the_try_before_has_locked() {
    let place = half();
    let broken = |range: &str, body: &str| {
        let lines = [format!("Content-Range: bytes {range}"), "Content-Length: 5".to_string()];
        piece(&[&lines[0], &lines[1], "ETag: \"v1\""], body)
    };
    let server = origin([broken("5-9/10", "567"), range("8-9/10", "89")]);
    place.get(&server, "-q --continue --retry 1 --retry-delay 0").run().exits(0);
    assert_eq!(place.read("f").as_deref(), Some("0123456789"));
    assert!(server.heard()[1].contains("Range: bytes=8-\r\n"), "{}", server.heard()[1]);
}
