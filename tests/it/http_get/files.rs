//! Files: untouched, whole, or a part that can be gone on with.

use std::fs;

use super::download_dir::Place;
use crate::support::origin::{Answer, ok, origin};
use crate::support::sockit::sockit;

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

#[test]
fn a_finished_file_costs_one_conditional_request() {
    let date = "Last-Modified: Tue, 15 Nov 1994 08:12:31 GMT";
    let same = "HTTP/1.1 304 Not Modified\r\n\r\n".to_string();
    for (field, asked) in [
        ("ETag: \"1\"", "If-None-Match: \"1\"\r\n"),
        ("ETag: W/\"1\"", "If-None-Match: W/\"1\"\r\n"),
        (date, "If-Modified-Since: Tue, 15 Nov 1994 08:12:31 GMT\r\n"),
    ] {
        let whole = format!("HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 5\r\n\r\nhello");
        // A server may also ignore the condition.
        for second in [same.clone(), whole.clone()] {
            let place = Place::new();
            let server = origin([whole.clone(), second]);
            place.get(&server, "-q").run().exits(0);
            let before = fs::metadata(place.path("f")).unwrap().modified().unwrap();
            place
                .get(&server, "--continue")
                .run()
                .exits(0)
                .never_says("downloading it from the start");
            assert_eq!(place.names(), ["f"]);
            assert_eq!(place.read("f").as_deref(), Some("hello"));
            assert_eq!(fs::metadata(place.path("f")).unwrap().modified().unwrap(), before);
            let heard = server.heard();
            assert_eq!(heard.len(), 2);
            if has_attributes(&place) {
                assert!(heard[1].contains(asked) && !heard[1].contains("Range"), "{}", heard[1]);
            }
        }
    }
}

/// Whether files here have extended attributes, which hold what a file is part of.
fn has_attributes(place: &Place) -> bool {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(place.path("f"), "user.test", b"x", flags).is_ok()
}

#[test]
fn a_finished_file_that_has_changed_is_replaced_only_by_a_complete_one() {
    let whole = |etag: &str, body: &str, length: usize| {
        format!("HTTP/1.1 200 OK\r\nETag: {etag}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let place = Place::new();
    place.get(&origin([whole("\"1\"", "hello", 5)]), "-q").run().exits(0);
    let run = place.get(&origin([whole("\"2\"", "new", 9)]), "--continue").run();
    run.exits(18).says("downloading it from the start");
    assert_eq!(place.read("f").as_deref(), Some("hello"));
    assert_eq!(place.read("f.part").as_deref(), Some("new"));
    place.get(&origin([whole("\"3\"", "other", 5)]), "--continue").run().exits(0);
    assert_eq!(place.read("f").as_deref(), Some("other"));
    assert_eq!(place.names(), ["f"]);
}

#[test]
fn a_416_without_a_size_harms_neither_file_nor_part() {
    let none = "HTTP/1.1 416 No\r\nContent-Length: 4\r\n\r\npage";
    let page = "HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\npage";
    for name in ["f", "f.part"] {
        for answers in [vec![none], vec![none, page], vec![none, none]] {
            let place = Place::new();
            fs::write(place.path(name), "precious").unwrap();
            place
                .get(&origin(answers), "--continue")
                .run()
                .exits(22)
                .says("downloading it from the start");
            assert_eq!(place.read(name).as_deref(), Some("precious"));
            assert_eq!(place.names(), [name]);
        }
    }
}

#[test]
fn a_second_answer_that_is_cut_never_shrinks_a_longer_part() {
    let first_half = cut("\"1\"");
    let cut =
        |body: &str| format!("HTTP/1.1 200 OK\r\nETag: \"2\"\r\nContent-Length: 20\r\n\r\n{body}");
    let changed = rest("\"2\"");
    for first in [vec![], vec![changed]] {
        for (body, left) in [("hi", "hello"), ("", "hello"), ("hi again", "hi again")] {
            let place = Place::new();
            place.get(&origin([first_half.clone()]), "-q").run().exits(18);
            let answers = first.iter().cloned().chain([cut(body).into_bytes()]);
            let run = place.get(&origin(answers.collect::<Vec<_>>()), "--continue").run();
            run.exits(18).says("downloading it from the start");
            assert_eq!(place.read("f.part").as_deref(), Some(left), "{body}");
            assert_eq!(place.names(), ["f.part"], "{body}");
        }
    }
}

#[test]
fn a_file_that_another_run_is_writing_is_twenty_three() {
    let place = Place::new();
    let server = origin([Answer::ThenSilence(cut("\"1\"")), Answer::Bytes(ok("other"))]);
    let first = place.get(&server, "-q").start();
    place.wait_to_hold("f.part", "hello");
    for flags in ["-q", "-q --continue", "-q --keep-partial", "-q --raw"] {
        let run = place.get(&server, flags).run();
        run.exits(23).fails_at("file").says("another run is writing it");
        assert_eq!(place.read("f.part").as_deref(), Some("hello"), "{flags}");
    }
    first.signal(libc::SIGKILL);
    first.wait();
    place.get(&server, "-q").run().exits(0);
    assert_eq!(place.read("f").as_deref(), Some("other"));
    assert_eq!(place.names(), ["f"]);
}

#[test]
fn an_error_page_replaces_a_file_only_with_any_status() {
    let page = "HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\npage";
    for flags in ["", "--raw", "--continue", "--keep-partial", "-i"] {
        for old in [Some("precious"), None] {
            let place = Place::new();
            old.into_iter().for_each(|old| fs::write(place.path("f"), old).unwrap());
            place.get(&origin([page]), flags).run().exits(22).says("HTTP status 404");
            assert_eq!(place.read("f").as_deref(), old, "{flags}");
            assert_eq!(place.names().len(), old.into_iter().count(), "{flags}");
        }
    }
    let place = Place::new();
    place.get(&origin([page]), "--any-status").run().exits(0);
    assert_eq!(place.read("f").as_deref(), Some("page"));
    origin([page]).get("-q").run().exits(22).prints("page");
}

#[test]
fn a_file_is_fetched_again_only_if_there_is_a_newer_one() {
    let date = |day| format!("Last-Modified: Tue, {day} Nov 1994 08:12:31 GMT");
    let answer = |day, body: &str| {
        let fields = format!("{}\r\nETag: \"{day}\"\r\nContent-Length: {}", date(day), body.len());
        format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}")
    };
    let same = "HTTP/1.1 304 Not Modified\r\n\r\n".to_string();
    let place = Place::new();
    let server = origin([answer(15, "old"), same, answer(15, "old"), answer(16, "new")]);
    let flags = format!("--time-condition '{}'", place.path("f").display());
    let get = || place.get(&server, &flags).run();
    for body in ["old", "old", "old", "new"] {
        get().exits(0).never_says("neither a file");
        assert_eq!(place.read("f").as_deref(), Some(body));
    }
    let heard = server.heard();
    assert!(!heard[0].contains("If-"), "{}", heard[0]);
    let asked = "If-Modified-Since: Tue, 15 Nov 1994 08:12:31 GMT\r\n";
    assert!(heard[1].contains(asked), "{}", heard[1]);
    if has_attributes(&place) {
        assert!(heard[1].contains("If-None-Match: \"15\"\r\n"), "{}", heard[1]);
    }
    let dated = origin([answer(15, "body")]);
    dated.get("-q -z 1994-11-16").run().exits(0).prints("");
    dated.get("-q --time-cond 1994-11-14").run().exits(0).prints("body");
    dated.get("-z soon").run().exits(0).prints("body").says("neither a file nor a date");
    dated.get("-z f --continue -o f").run().exits(2);
}

#[test]
fn a_fifo_without_a_reader_is_waited_for_within_the_time_limit() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let place = Place::new();
    let fifo = place.path("f");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let server = origin([ok("body")]);
    place.get(&server, "-q --timeout 300ms").run().exits(28).fails_at("file");
    let run = place.get(&server, "-q").start();
    assert_eq!(fs::read(&fifo).unwrap(), b"body");
    run.wait().exits(0);
    assert_eq!(place.names(), ["f"]);
}
