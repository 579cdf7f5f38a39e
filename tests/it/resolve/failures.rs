//! `resolve` with a failing resolver: never a verdict, never an unknown name.

use std::time::Duration;

use super::verify::{REVERSE, bare, machine};
use crate::support::namespace::Namespace;
use crate::support::peer::program;
use crate::support::sockit::{Run, sockit};
use crate::support::strace::{can_trace, injected};

/// Runs sockit in a namespace where opening `path` fails with `errno`.
fn run_without_file(machine: &Namespace, line: &str, path: &str, errno: &str) -> Option<Run> {
    let inject = format!("inject=openat:error={errno}");
    let strace = ["strace", "-D", "-f", "-qqq", "-o", "/dev/null", "-P", path, "-e", &inject];
    Some(sockit(line).under(strace).under(machine.words()?).run())
}

#[test]
fn unreadable_resolv_conf_exits_75_with_via_dns() {
    if !can_trace() {
        return;
    }
    let Some(machine) = machine(REVERSE) else { return };
    for errno in ["EMFILE", "EIO"] {
        let line = "resolve --via dns good.test";
        let Some(run) = run_without_file(&machine, line, "/etc/resolv.conf", errno) else { return };
        run.exits(75).prints("").fails_at("resolve");
    }
}

#[test]
fn failing_system_call_is_never_a_verdict() {
    if !can_trace() {
        return;
    }
    let Some(machine) = machine(REVERSE) else { return };
    let calls = [
        ("socket", "EMFILE"),
        ("connect", "ECONNREFUSED"),
        ("connect", "ENETUNREACH"),
        ("sendmmsg", "EPERM"),
        ("sendto", "ENOBUFS"),
        ("sendto", "EAGAIN"),
        ("connect", "EAGAIN"),
        ("pipe2", "EMFILE"),
        ("clone3", "EAGAIN"),
        ("write", "EAGAIN"),
        ("recvfrom", "ECONNREFUSED"),
        ("recvfrom", "EIO"),
        ("poll", "ENOMEM"),
    ];
    for (call, errno) in calls {
        for when in ["1", "2", "1+"] {
            for (line, answer) in [
                ("resolve --timeout 1 --verify 10.1.1.1", "Validated hostname: good.test\n"),
                ("resolve --timeout 1 --via dns good.test", "10.1.1.1\n"),
                ("resolve --timeout 1 --tcp good.test", "10.1.1.1\n"),
            ] {
                let Some(words) = machine.words() else { return };
                let run = injected(sockit(line), call, errno, when).under(words).run();
                let known = run.code == 0 && run.text() == answer;
                let open = run.code == 75 && run.stdout.is_empty();
                // A query that is never sent times out; a write error has its own code.
                let timed_out = run.code == 28 && run.took > Duration::from_millis(900);
                let not_written = call == "write" && matches!(run.code, 23 | 75);
                assert!(
                    known || open || timed_out || not_written,
                    "{call} {errno} {when} {line}: {run:?}"
                );
            }
        }
    }
}

/// A namespace with a name server that runs these lines of Python for each query: `d` is the query,
/// `q` its question, and `r(code, count, records)` sends a reply.
fn answering(script: &str) -> Option<Namespace> {
    program("python3")?;
    let server = format!(
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         s.bind((\"127.0.0.1\", 53))\n\
         def r(code, count=0, records=b\"\"):\n \
         s.sendto(d[:2] + bytes([133, 128 | code, 0, 1, 0, count, 0, 0, 0, 0]) + q + records, a)\n\
         while 1:\n d, a = s.recvfrom(4096); i = 12\n while d[i]: i += d[i] + 1\n q = d[12:i+5]\n{script}"
    );
    Some(bare().before(&format!(
        "mount -t proc proc /proc || exit 97
        python3 -c '{server}' & server=$!
        until grep -q :0035 /proc/net/udp; do kill -0 $server || exit 98; sleep 0.01; done"
    )))
}

#[test]
fn formerr_and_notauth_are_not_unknown_names() {
    // FORMERR (1) and NOTAUTH (9) are "no such name" to the C library.
    for code in [1, 9] {
        let Some(machine) = answering(&format!(" r({code})")) else { return };
        for line in ["resolve --via dns good.test", "resolve --verify 10.1.1.1"] {
            let Some(run) = machine.run(line) else { return };
            run.exits(75).prints("").fails_at("resolve");
        }
        // A plain lookup returns the result of getaddrinfo(3).
        for line in ["resolve good.test", "resolve --all good.test"] {
            let Some(run) = machine.run(line) else { return };
            run.exits(6).prints("").fails_at("resolve");
        }
        // The hosts file needs no server.
        let Some(run) = machine.run("resolve --verify 10.1.1.7") else { return };
        run.exits(0).prints("Validated hostname: stale.test\n");
    }
}

#[test]
fn verify_forward_lookup_that_fails_is_75() {
    let ptr = "b\"\\xc0\\x0c\\0\\x0c\\0\\x01\\0\\0\\0\\x3c\\0\\x0a\\x03bad\\x04test\\0\"";
    for code in [1, 2, 9] {
        let script = format!(" r(0, 1, {ptr}) if q[-3] == 12 else r({code})");
        let Some(machine) = answering(&script) else { return };
        let Some(run) = machine.run("resolve --verify 10.1.1.1") else { return };
        run.exits(75).prints("").fails_at("resolve");
        let Some(run) = machine.run("resolve 10.1.1.1") else { return };
        run.exits(0).prints("bad.test\n");
    }
}
