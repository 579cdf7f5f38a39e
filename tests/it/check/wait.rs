//! `--wait`: until the targets are open, or closed, or the time is over.

use std::net::TcpListener;
use std::time::Duration;

use super::{check, lines, listener};
use crate::support::peer::{Refusing, Unanswering};
use crate::support::sockit::sockit;

#[test]
fn wait_ends_when_a_listener_appears() {
    let (first, open) = listener();
    let refusing = Refusing::new();
    let later = refusing.addr();
    let running = check("-v --wait 20s", &[open, later]).start();
    // The listener appears after the first refusal.
    running.wait_for_log(&format!("{later} refused"));
    drop(refusing);
    let listener = TcpListener::bind(later).expect("the port is free again");
    let run = running.wait();
    run.exits(0);
    assert_eq!(lines(&run), [format!("{open} open N ms"), format!("{later} open N ms")]);
    drop((first, listener));
}

#[test]
fn wait_ends_when_a_full_backlog_has_room() {
    let silent = Unanswering::on(([127, 0, 0, 1], 0).into());
    let running = check("-v --wait 20s --timeout 200ms", &[silent.addr()]).start();
    running.wait_for_log("timeout");
    silent.accept_all();
    running.wait().exits(0);
}

#[test]
fn wait_over_exits_28_and_names_what_is_missing() {
    let (_listener, open) = listener();
    let refusing = [Refusing::new(), Refusing::new()];
    let [first, second] = [refusing[0].addr(), refusing[1].addr()];
    let run = check("-v --wait 2s", &[open, first, second]).run();
    run.exits(28).fails_at("connect").logs(&format!(
        "sockit: connect {first}: not open after 2s: Connection refused; \
         also {second}: Connection refused\n"
    ));
    let expected = [format!("{open} open N ms"), format!("{first} refused")];
    assert_eq!(lines(&run)[..2], expected);
    run.logs(&format!("\n{second} refused\n"));
    run.never_logs("reason: ");
    assert!(run.took >= Duration::from_secs(2), "{:?}", run.took);
}

#[test]
fn error_of_a_wait_names_a_few_of_many_targets() {
    let run = sockit("check --wait 50ms 127.0.0.1:1-9").run();
    run.exits(28).fails_at("connect").logs("and 5 more\n");
}

#[test]
fn wait_any_ends_at_the_first_open_target() {
    let (_listener, open) = listener();
    let silent = Unanswering::on(([127, 0, 0, 1], 0).into());
    let run = check("--any --wait 0 --timeout 0", &[silent.addr(), open]).run();
    run.exits(0).logs_nothing();
}

#[test]
fn until_closed_waits_for_the_listener_to_go() {
    let (listener, address) = listener();
    check("--until closed", &[address]).run().exits(1);
    let running = check("-v --wait 20s --until closed", &[address]).start();
    running.wait_for_log("open");
    drop(listener);
    running.wait().exits(0).prints(format!("{address} refused\n"));
    check("--until closed", &[address]).run().exits(0);
}

#[test]
fn until_closed_wait_over_exits_28() {
    let (_listener, address) = listener();
    let run = check("--wait 300ms --until closed", &[address]).run();
    run.exits(28).logs("not closed after 300ms: open");
}

#[test]
fn signal_ends_a_wait() {
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let refusing = Refusing::new();
        let running = check("-v --wait 0", &[refusing.addr()]).start();
        running.wait_for_log_times("refused", 3);
        running.signal(signal);
        running.wait().exits(code);
    }
}
