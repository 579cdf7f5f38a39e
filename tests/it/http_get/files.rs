//! Files: untouched, whole, or a part that can be gone on with.

use std::fs;

use super::origin::{Answer, ok, origin};
use super::place::Place;
use crate::sockit::sockit;

fn cut(etag: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nETag: {etag}\r\nContent-Length: 10\r\n\r\nhello").into_bytes()
}

fn rest(etag: &str) -> Vec<u8> {
    let range = "Content-Range: bytes 5-9/10\r\nContent-Length: 5";
    format!("HTTP/1.1 206 Part\r\nETag: {etag}\r\n{range}\r\n\r\nworld").into_bytes()
}

#[test]
fn a_whole_body_replaces_the_file() {
    let place = Place::new();
    fs::write(place.path("f"), "old").unwrap();
    place.get(&origin([ok("new")]), "-q").run().exits(0).prints("").is_silent();
    assert_eq!(place.read("f").as_deref(), Some("new"));
    assert_eq!(place.names(), ["f"]);
}

#[test]
fn a_broken_transfer_leaves_the_file_alone() {
    let place = Place::new();
    fs::write(place.path("f"), "old").unwrap();
    place.get(&origin([cut("\"1\"")]), "-q").run().exits(18).says("got 5 of 10").says("f.part");
    assert_eq!(place.read("f").as_deref(), Some("old"));
    assert_eq!(place.read("f.part").as_deref(), Some("hello"));
    place.get(&origin([cut("\"1\"")]), "-q --keep-partial").run().exits(18);
    assert_eq!(place.read("f").as_deref(), Some("hello"));
    assert_eq!(place.names(), ["f"]);
}

#[test]
fn nothing_is_touched_before_a_body_comes() {
    let place = Place::new();
    fs::write(place.path("f"), "old").unwrap();
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 304 No\r\n\r\n"] {
        place.get(&origin([answer]), "-q").run();
        assert_eq!(place.read("f").as_deref(), Some("old"), "{answer}");
        assert_eq!(place.names(), ["f"], "{answer}");
    }
}

#[test]
fn a_part_is_gone_on_with() {
    let place = Place::new();
    let server = origin([cut("\"1\""), rest("\"1\"")]);
    place.get(&server, "-q").run().exits(18);
    place.get(&server, "-q --continue").run().exits(0);
    assert_eq!(place.read("f").as_deref(), Some("helloworld"));
    assert_eq!(place.names(), ["f"]);
    let request = &server.heard()[1];
    assert!(
        request.contains("Range: bytes=5-\r\n") && request.contains("If-Range: \"1\"\r\n"),
        "{request}"
    );
}

#[test]
fn what_has_changed_starts_again() {
    let place = Place::new();
    for changed in [vec![ok("all of it new")], vec![rest("\"2\""), ok("all of it new")]] {
        place.get(&origin([cut("\"1\"")]), "-q").run().exits(18);
        place.get(&origin(changed), "-q --continue").run().exits(0);
        assert_eq!(place.read("f").as_deref(), Some("all of it new"));
        assert_eq!(place.names(), ["f"]);
    }
}

#[test]
fn a_whole_part_is_whole_and_a_longer_one_starts_again() {
    let none = |size: u64| {
        format!("HTTP/1.1 416 No\r\nContent-Range: bytes */{size}\r\nContent-Length: 0\r\n\r\n")
    };
    let place = Place::new();
    fs::write(place.path("f.part"), "helloworld").unwrap();
    place.get(&origin([none(10)]), "-q --continue").run().exits(0);
    assert_eq!(place.read("f").as_deref(), Some("helloworld"));
    assert_eq!(place.names(), ["f"]);
    // The file itself stands, and is whole.
    place.get(&origin([none(10)]), "-q --continue").run().exits(0);
    assert_eq!(place.read("f").as_deref(), Some("helloworld"));
    fs::write(place.path("f.part"), "hello and much too much").unwrap();
    let server = origin([none(10).into_bytes(), ok("helloworld")]);
    place.get(&server, "-q --continue").run().exits(0);
    assert_eq!(place.read("f").as_deref(), Some("helloworld"));
    assert!(!server.heard()[1].contains("Range"), "{}", server.heard()[1]);
}

#[test]
fn a_piece_that_does_not_fit_is_refused_and_the_part_kept() {
    let place = Place::new();
    place.get(&origin([cut("\"1\"")]), "-q").run().exits(18);
    let wrong =
        "HTTP/1.1 206 Part\r\nContent-Range: bytes 4-8/10\r\nContent-Length: 5\r\n\r\nworld";
    place.get(&origin([wrong]), "-q --continue").run().exits(8);
    assert_eq!(place.read("f.part").as_deref(), Some("hello"));
    place
        .get(&origin(["HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"]), "-q --continue")
        .run()
        .exits(22);
    assert_eq!(place.read("f.part").as_deref(), Some("hello"));
}

#[test]
fn an_interrupted_transfer_can_be_finished() {
    let place = Place::new();
    let server = origin([Answer::ThenSilence(cut("\"1\"")), Answer::Bytes(rest("\"1\""))]);
    let run = place.get(&server, "").start();
    run.wait_to_say("200 OK");
    place.wait_to_hold("f.part", "hello");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(run.pid() as i32).unwrap(),
        rustix::process::Signal::INT,
    )
    .unwrap();
    run.wait().exits(130);
    assert_eq!(place.read("f.part").as_deref(), Some("hello"));
    place.get(&server, "-q --continue").run().exits(0);
    assert_eq!(place.read("f").as_deref(), Some("helloworld"));
}

#[test]
fn the_url_names_the_file_and_the_server_never_does() {
    let place = Place::new();
    let answer = "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=evil\r\n\
                  Content-Length: 5\r\n\r\nhello";
    let server = origin([b"HTTP/1.1 302 Found\r\nLocation: /evil\r\n\r\n".to_vec(), answer.into()]);
    let script = format!("cd {} && exec \"$0\" \"$@\"", place.path("").display());
    let run =
        sockit("http-get -q -O").arg(server.url("/a/%2e%2e%2fname?x")).under(["sh", "-c", &script]);
    run.run().exits(0);
    assert_eq!(place.names(), ["_._name"]);
}
