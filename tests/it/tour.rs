//! `tour`: it does what it says here, and says so where it cannot.

use crate::namespace::Namespace;
use crate::sockit::sockit;
use std::time::Duration;

#[test]
fn the_whole_tour_does_what_it_says() {
    let run = sockit("tour").limit(Duration::from_secs(120)).run();
    run.exits(0).is_silent();
    let text = run.text();
    for shown in ["1. ", "2. ", "3. ", "4. ", "5. ", "Hello, Sarah!", "Remember: ", "已接收到数据"]
    {
        assert!(text.contains(shown), "{shown}\n{text}");
    }
    assert!(text.ends_with("Everything did what it says.\n"));
}

#[test]
fn one_chapter_and_the_list_of_them() {
    let run = sockit("tour 2").run();
    assert!(run.exits(0).text().starts_with("2. "));
    let list = sockit("tour --list").run();
    assert_eq!(list.exits(0).text().lines().count(), 5);
    sockit("tour 6").run().exits(2).prints("");
    sockit("tour 0").run().exits(2).prints("");
}

#[test]
fn whoever_saw_enough_may_leave_and_a_full_disk_is_told() {
    sockit("tour 2").redirect("| head -n 1").run().exits(0).is_silent();
    sockit("tour 2").redirect("> /dev/full").run().exits(23).fails_at("stdout");
}

#[test]
fn on_a_machine_without_a_loopback_the_tour_says_so() {
    let dark = Namespace::new().before("ip address flush dev lo");
    if let Some(run) = dark.run("tour 2") {
        assert_ne!(run.code, 0, "{}", run.text());
    }
}

#[test]
fn a_machine_without_ipv6_leaves_that_part_out() {
    let old = Namespace::new().before("ip -6 address flush dev lo");
    if let Some(run) = old.run("tour 4") {
        run.exits(0);
        assert!(run.text().contains("left out: this machine has no IPv6 loopback"));
    }
}
