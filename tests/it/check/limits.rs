//! Threads, sockets and lookups are bounded by `--jobs`.

use std::path::PathBuf;

use super::{check, listener};
use crate::support::namespace::Namespace;
use crate::support::peer::{self, Unanswering};
use crate::support::proc_stats;
use crate::support::sockit::sockit;

/// The most sockets and threads that `running` has had at a time until it ends.
fn peaks(mut running: crate::support::process::Process) -> (usize, usize) {
    let (mut sockets, mut threads) = (0, 0);
    while running.is_alive() {
        let folder = format!("/proc/{}/fd", running.pid());
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let links = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        let is_socket = |link: &PathBuf| link.to_string_lossy().starts_with("socket:");
        sockets = sockets.max(links.filter(is_socket).count());
        threads = threads.max(proc_stats::threads(running.pid()));
    }
    running.wait().exits(28);
    (sockets, threads)
}

#[test]
fn attempts_have_a_socket_and_a_thread_each_at_most() {
    let silent = Unanswering::on(([127, 0, 0, 1], 0).into());
    let targets = [silent.addr(); 24];
    let (sockets, threads) = peaks(check("--jobs 6 --timeout 100ms", &targets).start());
    // One more thread waits for the results.
    assert!((1..=6).contains(&sockets), "{sockets} sockets");
    assert!((2..=7).contains(&threads), "{threads} threads");
}

#[test]
fn name_is_looked_up_once_for_all_its_ports() {
    if peer::program("strace").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let strace = ["strace", "-f", "-qq", "-e", "trace=openat", "-o", trace.to_str().unwrap()];
    let machine = Namespace::new().nsswitch("hosts: files").etc("hosts", "127.0.0.77 many");
    let Some(words) = machine.words() else { return };
    let run = sockit("check many:1-300").under(strace).under(words).run();
    run.exits(7);
    assert_eq!(run.text().lines().count(), 300);
    let trace = std::fs::read_to_string(trace).unwrap();
    assert_eq!(trace.matches("\"/etc/hosts\"").count(), 1, "{trace}");
}

#[test]
fn few_descriptors_are_enough_for_many_targets() {
    let run = sockit("check --jobs 64 127.0.0.1:1-500").under(["prlimit", "--nofile=40"]).run();
    assert!(!run.text().contains("failed"), "{}", run.text());
}

#[test]
fn thousand_closed_ports_are_all_refused() {
    let Some(run) = Namespace::new().run("check --jobs 64 127.0.0.1:20000-20999") else { return };
    run.exits(7);
    assert_eq!(run.text().matches(" refused\n").count(), 1000);
}

#[test]
fn targets_beyond_the_jobs_wait_for_their_turn() {
    let (_listener, open) = listener();
    let targets = [open; 40];
    check("--jobs 1", &targets).run().exits(0).logs_nothing();
}
