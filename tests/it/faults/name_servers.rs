//! Name servers that do not reply while the run is to end.

use crate::support::namespace::Namespace;
use crate::support::process::Process;
use crate::support::sockit::{Run, sockit};
use crate::support::wait_until;

/// A namespace whose only name server discards every query.
fn silent_resolver(dir: &std::path::Path) -> Namespace {
    let server = env!("CARGO_BIN_EXE_sockit");
    let port_file = dir.join("port").display().to_string();
    Namespace::new()
        .with_host_processes()
        .nsswitch("hosts: dns")
        // The C library would wait for a minute.
        .resolv("nameserver 127.0.0.1\noptions timeout:30")
        .before(&format!(
            "rm -f {port_file}
            {server} udp-server --service discard --port 53 --print-port --timeout 30 \
                >{port_file} 2>&1 </dev/null &
            until [ -s {port_file} ]; do sleep 0.01; done"
        ))
}

/// Waits until a thread of this process performs a lookup.
fn wait_for_lookup(run: &Process) {
    let tasks = format!("/proc/{}/task", run.pid());
    let looks_up = || {
        let names = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
        let mut names = names.map(|task| std::fs::read_to_string(task.path().join("comm")));
        names.any(|name| name.is_ok_and(|name| name.trim() == "resolve"))
    };
    wait_until("a lookup begins", looks_up);
}

fn interrupted(line: &str, signal: i32) -> Option<Run> {
    let dir = tempfile::tempdir().expect("a folder");
    let silent_resolver = silent_resolver(dir.path());
    let run = sockit(line).under(silent_resolver.words()?).start();
    wait_for_lookup(&run);
    run.signal(signal);
    Some(run.wait())
}

#[test]
fn signal_during_lookup_exits_130() {
    for line in [
        "tcp-server --host some-name.example",
        "tcp-server --port 0 --allow some-name.example",
        "tcp-server --port 0 --deny 192.0.2.1 --deny some-name.example",
        "udp-echo --host some-name.example",
        "udp-server --host some-name.example",
        "tcp-client some-name.example 80",
        "udp-client some-name.example 80 --send hello",
    ] {
        let Some(run) = interrupted(line, libc::SIGINT) else { return };
        run.exits(130).never_logs("Waiting for");
    }
    let Some(run) = interrupted("tcp-server --host some-name.example", libc::SIGTERM) else {
        return;
    };
    run.exits(143);
}

#[test]
fn timeout_during_server_lookup_exits_28() {
    let dir = tempfile::tempdir().expect("a folder");
    for line in ["tcp-server --host some-name.example", "tcp-server --allow some-name.example"] {
        let silent_resolver = silent_resolver(dir.path());
        let Some(words) = silent_resolver.words() else { return };
        let run = sockit(line).and("--timeout 400ms").under(words).run();
        run.exits(28).fails_at("resolve").logs("some-name.example");
    }
}
