//! Output files: unchanged, complete, or a part that can be continued.

use std::fs;

use super::download_dir::DownloadDir;
use crate::support::origin::{Answer, ok, origin};
use crate::support::sockit::sockit;

fn truncated(etag: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nETag: {etag}\r\nContent-Length: 10\r\n\r\nhello").into_bytes()
}

fn rest(etag: &str) -> Vec<u8> {
    let range = "Content-Range: bytes 5-9/10\r\nContent-Length: 5";
    format!("HTTP/1.1 206 Part\r\nETag: {etag}\r\n{range}\r\n\r\nworld").into_bytes()
}

#[test]
fn complete_body_replaces_the_file() {
    let downloads = DownloadDir::new();
    fs::write(downloads.path("f"), "old").unwrap();
    downloads.get(&origin([ok("new")]), "-q").run().exits(0).prints("").logs_nothing();
    assert_eq!(downloads.read("f").as_deref(), Some("new"));
    assert_eq!(downloads.names(), ["f"]);
}

#[test]
fn truncated_body_leaves_the_file_and_a_part() {
    let downloads = DownloadDir::new();
    fs::write(downloads.path("f"), "old").unwrap();
    downloads
        .get(&origin([truncated("\"1\"")]), "-q")
        .run()
        .exits(18)
        .logs("got 5 of 10")
        .logs("f.part");
    assert_eq!(downloads.read("f").as_deref(), Some("old"));
    assert_eq!(downloads.read("f.part").as_deref(), Some("hello"));
    downloads.get(&origin([truncated("\"1\"")]), "-q --keep-partial").run().exits(18);
    assert_eq!(downloads.read("f").as_deref(), Some("hello"));
    assert_eq!(downloads.names(), ["f"]);
}

#[test]
fn file_is_untouched_until_the_body_begins() {
    let downloads = DownloadDir::new();
    fs::write(downloads.path("f"), "old").unwrap();
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 304 No\r\n\r\n"] {
        downloads.get(&origin([answer]), "-q").run();
        assert_eq!(downloads.read("f").as_deref(), Some("old"), "{answer}");
        assert_eq!(downloads.names(), ["f"], "{answer}");
    }
}

#[test]
fn continue_appends_to_the_part() {
    let downloads = DownloadDir::new();
    let server = origin([truncated("\"1\""), rest("\"1\"")]);
    downloads.get(&server, "-q").run().exits(18);
    downloads.get(&server, "-q --continue").run().exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some("helloworld"));
    assert_eq!(downloads.names(), ["f"]);
    let request = &server.requests()[1];
    assert!(
        request.contains("Range: bytes=5-\r\n") && request.contains("If-Range: \"1\"\r\n"),
        "{request}"
    );
}

#[test]
fn continue_of_changed_resource_starts_again() {
    let downloads = DownloadDir::new();
    for changed in [vec![ok("all of it new")], vec![rest("\"2\""), ok("all of it new")]] {
        downloads.get(&origin([truncated("\"1\"")]), "-q").run().exits(18);
        downloads.get(&origin(changed), "-q --continue").run().exits(0);
        assert_eq!(downloads.read("f").as_deref(), Some("all of it new"));
        assert_eq!(downloads.names(), ["f"]);
    }
}

#[test]
fn continue_of_complete_part_renames_it() {
    let none = |size: u64| {
        format!("HTTP/1.1 416 No\r\nContent-Range: bytes */{size}\r\nContent-Length: 0\r\n\r\n")
    };
    let downloads = DownloadDir::new();
    fs::write(downloads.path("f.part"), "helloworld").unwrap();
    downloads.get(&origin([none(10)]), "-q --continue").run().exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some("helloworld"));
    assert_eq!(downloads.names(), ["f"]);
    // The file itself is complete.
    downloads.get(&origin([none(10)]), "-q --continue").run().exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some("helloworld"));
    fs::write(downloads.path("f.part"), "hello and much too much").unwrap();
    let server = origin([none(10).into_bytes(), ok("helloworld")]);
    downloads.get(&server, "-q --continue").run().exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some("helloworld"));
    assert!(!server.requests()[1].contains("Range"), "{}", server.requests()[1]);
}

#[test]
fn continue_with_wrong_range_exits_8_and_keeps_the_part() {
    let downloads = DownloadDir::new();
    downloads.get(&origin([truncated("\"1\"")]), "-q").run().exits(18);
    let wrong =
        "HTTP/1.1 206 Part\r\nContent-Range: bytes 4-8/10\r\nContent-Length: 5\r\n\r\nworld";
    downloads.get(&origin([wrong]), "-q --continue").run().exits(8);
    assert_eq!(downloads.read("f.part").as_deref(), Some("hello"));
    downloads
        .get(&origin(["HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"]), "-q --continue")
        .run()
        .exits(22);
    assert_eq!(downloads.read("f.part").as_deref(), Some("hello"));
}

#[test]
fn interrupted_transfer_is_continued() {
    let downloads = DownloadDir::new();
    let server = origin([Answer::ThenSilence(truncated("\"1\"")), Answer::Bytes(rest("\"1\""))]);
    let run = downloads.get(&server, "").start();
    run.wait_for_log("200 OK");
    downloads.wait_for_content("f.part", "hello");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(run.pid() as i32).unwrap(),
        rustix::process::Signal::INT,
    )
    .unwrap();
    run.wait().exits(130);
    assert_eq!(downloads.read("f.part").as_deref(), Some("hello"));
    downloads.get(&server, "-q --continue").run().exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some("helloworld"));
}

#[test]
fn remote_name_comes_from_the_url_only() {
    let downloads = DownloadDir::new();
    let answer = "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=evil\r\n\
                  Content-Length: 5\r\n\r\nhello";
    let server = origin([b"HTTP/1.1 302 Found\r\nLocation: /evil\r\n\r\n".to_vec(), answer.into()]);
    let script = format!("cd {} && exec \"$0\" \"$@\"", downloads.path("").display());
    let run =
        sockit("http-get -q -O").arg(server.url("/a/%2e%2e%2fname?x")).under(["sh", "-c", &script]);
    run.run().exits(0);
    assert_eq!(downloads.names(), ["_._name"]);
}

#[test]
fn continue_of_complete_file_sends_a_conditional_request() {
    let date = "Last-Modified: Tue, 15 Nov 1994 08:12:31 GMT";
    let same = "HTTP/1.1 304 Not Modified\r\n\r\n".to_string();
    for (field, condition) in [
        ("ETag: \"1\"", "If-None-Match: \"1\"\r\n"),
        ("ETag: W/\"1\"", "If-None-Match: W/\"1\"\r\n"),
        (date, "If-Modified-Since: Tue, 15 Nov 1994 08:12:31 GMT\r\n"),
    ] {
        let whole = format!("HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 5\r\n\r\nhello");
        // A server may also ignore the condition.
        for second in [same.clone(), whole.clone()] {
            let downloads = DownloadDir::new();
            let server = origin([whole.clone(), second]);
            downloads.get(&server, "-q").run().exits(0);
            let before = fs::metadata(downloads.path("f")).unwrap().modified().unwrap();
            downloads
                .get(&server, "--continue")
                .run()
                .exits(0)
                .never_logs("downloading it from the start");
            assert_eq!(downloads.names(), ["f"]);
            assert_eq!(downloads.read("f").as_deref(), Some("hello"));
            assert_eq!(fs::metadata(downloads.path("f")).unwrap().modified().unwrap(), before);
            let requests = server.requests();
            assert_eq!(requests.len(), 2);
            if has_attributes(&downloads) {
                assert!(
                    requests[1].contains(condition) && !requests[1].contains("Range"),
                    "{}",
                    requests[1]
                );
            }
        }
    }
}

/// Whether files here have extended attributes, which hold the validator of a part.
fn has_attributes(downloads: &DownloadDir) -> bool {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(downloads.path("f"), "user.test", b"x", flags).is_ok()
}

#[test]
fn continue_of_changed_file_replaces_it_when_complete() {
    let whole = |etag: &str, body: &str, length: usize| {
        format!("HTTP/1.1 200 OK\r\nETag: {etag}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let downloads = DownloadDir::new();
    downloads.get(&origin([whole("\"1\"", "hello", 5)]), "-q").run().exits(0);
    let run = downloads.get(&origin([whole("\"2\"", "new", 9)]), "--continue").run();
    run.exits(18).logs("downloading it from the start");
    assert_eq!(downloads.read("f").as_deref(), Some("hello"));
    assert_eq!(downloads.read("f.part").as_deref(), Some("new"));
    downloads.get(&origin([whole("\"3\"", "other", 5)]), "--continue").run().exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some("other"));
    assert_eq!(downloads.names(), ["f"]);
}

#[test]
fn status_416_without_size_keeps_file_and_part() {
    let none = "HTTP/1.1 416 No\r\nContent-Length: 4\r\n\r\npage";
    let page = "HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\npage";
    for name in ["f", "f.part"] {
        for answers in [vec![none], vec![none, page], vec![none, none]] {
            let downloads = DownloadDir::new();
            fs::write(downloads.path(name), "precious").unwrap();
            downloads
                .get(&origin(answers), "--continue")
                .run()
                .exits(22)
                .logs("downloading it from the start");
            assert_eq!(downloads.read(name).as_deref(), Some("precious"));
            assert_eq!(downloads.names(), [name]);
        }
    }
}

#[test]
fn truncated_second_answer_never_shrinks_the_part() {
    let first_half = truncated("\"1\"");
    let truncated =
        |body: &str| format!("HTTP/1.1 200 OK\r\nETag: \"2\"\r\nContent-Length: 20\r\n\r\n{body}");
    let changed = rest("\"2\"");
    for first in [vec![], vec![changed]] {
        for (body, left) in [("hi", "hello"), ("", "hello"), ("hi again", "hi again")] {
            let downloads = DownloadDir::new();
            downloads.get(&origin([first_half.clone()]), "-q").run().exits(18);
            let answers = first.iter().cloned().chain([truncated(body).into_bytes()]);
            let run = downloads.get(&origin(answers.collect::<Vec<_>>()), "--continue").run();
            run.exits(18).logs("downloading it from the start");
            assert_eq!(downloads.read("f.part").as_deref(), Some(left), "{body}");
            assert_eq!(downloads.names(), ["f.part"], "{body}");
        }
    }
}

#[test]
fn file_locked_by_another_run_exits_23() {
    let downloads = DownloadDir::new();
    let server = origin([Answer::ThenSilence(truncated("\"1\"")), Answer::Bytes(ok("other"))]);
    let first = downloads.get(&server, "-q").start();
    downloads.wait_for_content("f.part", "hello");
    for flags in ["-q", "-q --continue", "-q --keep-partial", "-q --raw"] {
        let run = downloads.get(&server, flags).run();
        run.exits(23).fails_at("file").logs("another run is writing it");
        assert_eq!(downloads.read("f.part").as_deref(), Some("hello"), "{flags}");
    }
    first.signal(libc::SIGKILL);
    first.wait();
    downloads.get(&server, "-q").run().exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some("other"));
    assert_eq!(downloads.names(), ["f"]);
}

#[test]
fn error_page_replaces_the_file_only_with_any_status() {
    let page = "HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\npage";
    for flags in ["", "--raw", "--continue", "--keep-partial", "-i"] {
        for old in [Some("precious"), None] {
            let downloads = DownloadDir::new();
            old.into_iter().for_each(|old| fs::write(downloads.path("f"), old).unwrap());
            downloads.get(&origin([page]), flags).run().exits(22).logs("HTTP status 404");
            assert_eq!(downloads.read("f").as_deref(), old, "{flags}");
            assert_eq!(downloads.names().len(), old.into_iter().count(), "{flags}");
        }
    }
    let downloads = DownloadDir::new();
    downloads.get(&origin([page]), "--any-status").run().exits(0);
    assert_eq!(downloads.read("f").as_deref(), Some("page"));
    origin([page]).get("-q").run().exits(22).prints("page");
}

#[test]
fn time_condition_fetches_only_newer_files() {
    let date = |day| format!("Last-Modified: Tue, {day} Nov 1994 08:12:31 GMT");
    let answer = |day, body: &str| {
        let fields = format!("{}\r\nETag: \"{day}\"\r\nContent-Length: {}", date(day), body.len());
        format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}")
    };
    let same = "HTTP/1.1 304 Not Modified\r\n\r\n".to_string();
    let downloads = DownloadDir::new();
    let server = origin([answer(15, "old"), same, answer(15, "old"), answer(16, "new")]);
    let flags = format!("--time-condition '{}'", downloads.path("f").display());
    let get = || downloads.get(&server, &flags).run();
    for body in ["old", "old", "old", "new"] {
        get().exits(0).never_logs("neither a file");
        assert_eq!(downloads.read("f").as_deref(), Some(body));
    }
    let requests = server.requests();
    assert!(!requests[0].contains("If-"), "{}", requests[0]);
    let condition = "If-Modified-Since: Tue, 15 Nov 1994 08:12:31 GMT\r\n";
    assert!(requests[1].contains(condition), "{}", requests[1]);
    if has_attributes(&downloads) {
        assert!(requests[1].contains("If-None-Match: \"15\"\r\n"), "{}", requests[1]);
    }
    let dated = origin([answer(15, "body")]);
    dated.get("-q -z 1994-11-16").run().exits(0).prints("");
    dated.get("-q --time-cond 1994-11-14").run().exits(0).prints("body");
    dated.get("-z soon").run().exits(0).prints("body").logs("neither a file nor a date");
    dated.get("-z f --continue -o f").run().exits(2);
}

#[test]
fn fifo_without_reader_exits_28_at_the_timeout() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let downloads = DownloadDir::new();
    let fifo = downloads.path("f");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let server = origin([ok("body")]);
    downloads.get(&server, "-q --timeout 2s").run().exits(28).fails_at("file");
    let run = downloads.get(&server, "-q").start();
    assert_eq!(fs::read(&fifo).unwrap(), b"body");
    run.wait().exits(0);
    assert_eq!(downloads.names(), ["f"]);
}
