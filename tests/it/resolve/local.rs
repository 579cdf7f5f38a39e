//! `resolve` without a name server: the hosts file, numbers, services, files of questions.

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::support::nameserver::{Reaction, name_server, silent_server};
use crate::support::peer::program;
use crate::support::proc_stats::threads;
use crate::support::sockit::{Run, sockit};
use crate::support::wait_until;

fn objects(run: &Run) -> Vec<serde_json::Value> {
    let text = run.text();
    text.lines().map(|line| serde_json::from_str(line).expect("an object per line")).collect()
}

#[test]
fn name_prints_its_addresses_one_per_line() {
    sockit("resolve -4 localhost").run().exits(0).prints("127.0.0.1\n").logs_nothing();
    sockit("resolve 127.0.0.1").run().exits(0).prints("localhost\n").logs_nothing();
    sockit("resolve ::ffff:127.0.0.1").run().exits(0).prints("localhost\n");
    sockit("resolve -4 localhost:http").run().exits(0).prints("127.0.0.1:80\n");
}

#[test]
fn numeric_forms_are_parsed_as_by_the_system() {
    for form in ["127.1", "0x7f.1", "2130706433", "0177.0.0.1"] {
        sockit("resolve").arg(form).run().exits(0).prints("127.0.0.1\n");
    }
    let zoned = sockit("resolve --all fe80::1%lo").run();
    zoned.exits(0);
    let first = "AF_INET6\tSOCK_STREAM\t6\tfe80::1%lo\t('fe80::1', 0, 0, 1)";
    assert_eq!(zoned.text().lines().next(), Some(first));
    sockit("resolve fe80::1%nosuch").run().exits(6).fails_at("resolve");
}

#[test]
fn services_are_found_in_both_directions() {
    sockit("resolve :http").run().exits(0).prints("http\t80/tcp\n");
    sockit("resolve http/tcp").run().exits(0).prints("http\t80/tcp\n");
    sockit("resolve 80/tcp").run().exits(0).prints("http\t80/tcp\n");
    sockit("resolve domain/udp").run().exits(0).prints("domain\t53/udp\n");
    sockit("resolve :domain").run().exits(0).prints("domain\t53/tcp\ndomain\t53/udp\n");
    let results = objects(&sockit("resolve --json 80/tcp").run());
    assert_eq!(results[0]["services"][0]["service"], "http");
    assert_eq!(results[0]["services"][0]["port"], 80);
    sockit("resolve :nosuchservice").run().exits(6).prints("").fails_at("port");
    sockit("resolve :70000").run().exits(2).prints("").fails_at("port");
    sockit("resolve http/sctp").run().exits(2).fails_at("port");
}

#[test]
fn services_match_getent() {
    let (Ok(table), Some(mut getent)) =
        (std::fs::read_to_string("/etc/services"), program("getent"))
    else {
        return;
    };
    let lines = table.lines().map(|line| line.split('#').next().unwrap_or_default());
    let asked: Vec<String> = lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (service, (_, proto)) = (words.next()?, words.next()?.split_once('/')?);
            ["tcp", "udp"].contains(&proto).then(|| format!("{service}/{proto}"))
        })
        .collect();
    let getent = getent.arg("services").args(&asked).output().expect("getent runs");
    let getent = String::from_utf8_lossy(&getent.stdout).into_owned();
    let expected: Vec<_> = getent.lines().map(|line| line.split_whitespace().nth(1)).collect();
    let run = sockit("resolve -f -").stdin(asked.join("\n")).run();
    run.exits(0);
    let text = run.text();
    let lines: Vec<_> = text.lines().map(|line| line.split('\t').nth(1)).collect();
    assert_eq!(lines, expected);
}

#[test]
fn malformed_question_is_usage_error() {
    let long = "a.".repeat(200);
    for word in ["", "a b", "a\u{1b}[2Jb", long.as_str(), "localhost:70000", "localhost:+80"] {
        let run = sockit("resolve").arg(word).run();
        run.exits(2).prints("");
        assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{:?}", run.stderr);
    }
    sockit("resolve").run().exits(2).logs("Usage");
    sockit("resolve --strict 127.0.0.1").run().exits(2);
    sockit("resolve --verify --all 127.0.0.1").run().exits(2);
    sockit("resolve --type NOSUCH a").run().exits(2).logs("possible values");
    sockit("resolve --jobs 0 a").run().exits(2);
    sockit("resolve --via system --type A a").run().exits(2).fails_at("resolve");
    sockit("resolve --server 127.0.0.1:99999 a").run().exits(2).fails_at("port");
}

#[test]
fn file_is_answered_in_order_with_status_per_question() {
    let list = "# machines\nlocalhost\n\n127.0.0.1\n:http\nlocalhost:70000\nlocalhost\n";
    let run = sockit("resolve -4 -f -").stdin(list).run();
    run.exits(2).prints(
        "127.0.0.1\tlocalhost\nlocalhost\t127.0.0.1\nhttp\t80/tcp\t:http\n127.0.0.1\tlocalhost\n",
    );
    run.fails_at("port");
    let results = objects(&sockit("resolve -4 --json -f -").stdin(list).run());
    let status: Vec<&str> = results.iter().filter_map(|object| object["status"].as_str()).collect();
    assert_eq!(status, ["ok", "ok", "ok", "malformed", "ok"]);
    assert!(results.iter().all(|object| object["milliseconds"].is_number()));
}

#[test]
fn missing_file_exits_26() {
    sockit("resolve -f /nonexistent/list").run().exits(26).prints("").fails_at("file");
}

#[test]
fn stdin_questions_are_answered_before_eof() {
    let mut child = sockit("resolve -4 -f -")
        .command()
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("sockit starts");
    let mut list = child.stdin.take().expect("a pipe");
    let mut answers = BufReader::new(child.stdout.take().expect("a pipe"));
    for _ in 0..3 {
        writeln!(list, "localhost").expect("the list is read");
        let mut line = String::new();
        answers.read_line(&mut line).expect("an answer");
        assert_eq!(line, "127.0.0.1\tlocalhost\n");
    }
    drop(list);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn silent_server_delays_its_own_answer_only() {
    let server = name_server(|query| {
        if query.bytes.windows(6).any(|part| part == b"silent") {
            Reaction::Ignore
        } else {
            query.reply().a([192, 0, 2, 1]).into()
        }
    });
    let list: String = (0..200)
        .map(|n| if n % 50 == 7 { format!("silent{n}.test\n") } else { format!("n{n}.test\n") })
        .collect();
    let line = format!("resolve --timeout 3 --jobs 4 --type A --json --server {server} -f -");
    let run = sockit(&line).stdin(&list).run();
    run.exits(28);
    let results = objects(&run);
    let names = results.iter().filter_map(|object| object["name"].as_str());
    assert!(names.eq(list.lines()), "{}", run.text());
    let timeouts = results.iter().filter(|object| object["status"] == "timeout").count();
    assert_eq!(timeouts, 4);
    // One after the other they would take twelve seconds.
    assert!(run.took < Duration::from_secs(10), "{:?}", run.took);
}

#[test]
fn more_silent_names_than_jobs_time_out_in_turns() {
    let server = silent_server();
    let names: Vec<String> = (0..8).map(|n| format!("n{n}.test")).collect();
    let line = format!("resolve --timeout 500ms --jobs 4 --type A --server {server}");
    let run = sockit(&line).and(&names.join(" ")).run();
    run.exits(28).prints("");
    assert!(run.took >= Duration::from_secs(1), "{:?}", run.took);
}

#[test]
fn stdout_closed_early_exits_0() {
    let many = "localhost ".repeat(2000);
    sockit("resolve").and(&many).redirect("| head -n 1").run().exits(0);
    let run = sockit("resolve localhost").redirect(">/dev/full").run();
    run.exits(23).fails_at("stdout");
}

#[test]
fn stdout_closed_while_waiting_exits_0() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let running = sockit("resolve -f -").stdin_open().stdout_to(writer).start();
    drop(reader);
    running.wait().exits(0);
}

#[test]
fn interrupt_while_waiting_exits_130() {
    let server = silent_server();
    let line = format!("resolve --timeout 15 --type A --server {server} a.test");
    let mut child = sockit(&line).command().spawn().expect("sockit starts");
    let pid = rustix::process::Pid::from_child(&child);
    // The signal handler is installed before the first worker is spawned.
    wait_until("a worker is spawned", || threads(child.id()) > 1);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it lives");
    let status = child.wait().expect("its status");
    assert_eq!(status.code(), Some(130), "{status:?}");
}

/// Questions whose answers exceed the capacity of a pipe.
fn long_list() -> String {
    (1..20_000).map(|n| format!("127.0.0.1:{n}\n")).collect()
}

#[test]
fn signal_ends_run_whose_stdout_is_not_read() {
    for (signal, code) in [(libc::SIGTERM, 143), (libc::SIGINT, 130)] {
        let (_reader, writer) = crate::support::datagrams::unread_pipe();
        let same = writer.try_clone().unwrap();
        let run = sockit("resolve -f -").stdin(long_list()).stdout_to(writer).start();
        let full = || {
            let mut fds = [PollFd::new(&same, PollFlags::OUT)];
            poll(&mut fds, Some(&Timespec::default())) == Ok(0)
        };
        wait_until("the pipe is full", full);
        run.signal(signal);
        run.wait().exits(code);
    }
}

#[test]
fn non_blocking_stdout_gets_every_answer() {
    let (writer, read) = crate::support::datagrams::nonblocking_pipe();
    sockit("resolve -f -").stdin(long_list()).stdout_to(writer).run().exits(0).logs_nothing();
    let text = String::from_utf8(read()).unwrap();
    assert_eq!(text.lines().count(), 19_999);
    assert!(text.ends_with("127.0.0.1:19999\t127.0.0.1:19999\n"), "{}", &text[text.len() - 99..]);
}

#[test]
fn misplaced_brackets_and_colons_are_usage_errors() {
    for word in ["[::1", "::1]", "[localhost]", "localhost:80:90"] {
        sockit("resolve").arg(word).run().exits(2).fails_at("resolve").logs(word);
    }
    sockit("resolve --server 127.0.0.1:9 ok.test:80:90").run().exits(2).fails_at("resolve");
    sockit("resolve [::1]:http").run().exits(0).prints("[::1]:80\n");
    sockit("resolve --all ::1%lo [::1]").run().exits(0);
}
