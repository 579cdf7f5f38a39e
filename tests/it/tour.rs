//! `tour`: all chapters succeed, and fail or are skipped where the machine lacks something.

use crate::support::namespace::Namespace;
use crate::support::sockit::sockit;
use std::time::Duration;

#[test]
fn tour_runs_all_chapters() {
    let run = sockit("tour").limit(Duration::from_secs(120)).run();
    run.exits(0).logs_nothing();
    let text = run.text();
    for shown in
        ["1. ", "2. ", "3. ", "4. ", "5. ", "6. ", "Hello, Sarah!", "Remember: ", "已接收到数据"]
    {
        assert!(text.contains(shown), "{shown}\n{text}");
    }
    assert!(text.ends_with("All steps had the expected result.\n"));
}

#[test]
fn one_chapter_and_list() {
    let run = sockit("tour 2").run();
    assert!(run.exits(0).text().starts_with("2. "));
    let list = sockit("tour --list").run();
    assert_eq!(list.exits(0).text().lines().count(), 6);
    sockit("tour 7").run().exits(2).prints("");
    sockit("tour 0").run().exits(2).prints("");
}

#[test]
fn closed_stdout_exits_0_and_full_disk_exits_23() {
    sockit("tour 2").redirect("| head -n 1").run().exits(0).logs_nothing();
    sockit("tour 2").redirect("> /dev/full").run().exits(23).fails_at("stdout");
}

#[test]
fn machine_without_loopback_fails() {
    let offline = Namespace::new().before("ip address flush dev lo");
    if let Some(run) = offline.run("tour 2") {
        assert_ne!(run.code, 0, "{}", run.text());
    }
}

#[test]
fn machine_without_ipv6_skips_those_steps() {
    let v4_only = Namespace::new().before("ip -6 address flush dev lo");
    if let Some(run) = v4_only.run("tour 4") {
        run.exits(0);
        assert!(run.text().contains("left out: this machine has no IPv6 loopback"));
    }
}
