//! `resolve` when the system's own resolver cannot do its work: never a verdict, never an absence.

use std::time::Duration;

use crate::faults::strace::{can_inject, injected};
use crate::namespace::Namespace;
use crate::peer::program;
use crate::resolve_verify::{REVERSE, bare, machine};
use crate::sockit::{Run, sockit};

/// This sockit line on that machine, a call of its resolver on `path` failing with `errno`.
fn blinded(machine: &Namespace, line: &str, path: &str, errno: &str, when: &str) -> Option<Run> {
    let inject = format!("inject=openat:error={errno}:when={when}");
    let strace = ["strace", "-D", "-f", "-qqq", "-o", "/dev/null", "-P", path, "-e", &inject];
    Some(sockit(line).under(strace).under(machine.words()?).run())
}

#[test]
fn a_file_that_cannot_be_read_is_no_absence() {
    if !can_inject() {
        return;
    }
    let Some(machine) = machine(&format!("{REVERSE} --address=/stale.test/10.9.9.9")) else {
        return;
    };
    let lasting = [
        ("/etc/hosts", "EACCES", "resolve --verify 127.0.0.1"),
        ("/etc/hosts", "EMFILE", "resolve --verify 10.1.1.7"),
        ("/etc/hosts", "EMFILE", "resolve hosts.local.test"),
        ("/etc/hosts", "EIO", "resolve --all hosts.local.test"),
        ("/etc/resolv.conf", "EMFILE", "resolve good.test"),
        ("/etc/resolv.conf", "EMFILE", "resolve --verify 10.1.1.1"),
        ("/etc/resolv.conf", "EIO", "resolve --via dns good.test"),
        ("/etc/nsswitch.conf", "EMFILE", "resolve good.test"),
    ];
    for (path, errno, line) in lasting {
        let Some(run) = blinded(&machine, line, path, errno, "1+") else { return };
        run.exits(75).prints("").fails_at("resolve");
    }
    let passing = [
        ("/etc/hosts", "resolve --verify 10.1.1.7", "Validated hostname: stale.test\n"),
        ("/etc/hosts", "resolve hosts.test", "10.1.1.9\n"),
        ("/etc/resolv.conf", "resolve good.test", "10.1.1.1\n"),
        ("/etc/nsswitch.conf", "resolve good.test", "10.1.1.1\n"),
    ];
    for (path, line, answer) in passing {
        for when in ["1", "2", "3", "4"] {
            let Some(run) = blinded(&machine, line, path, "EMFILE", when) else { return };
            let told = run.code == 0 && run.text() == answer;
            let open = line == "resolve hosts.test" && run.text() == "10.1.1.8\n";
            assert!(told || open || run.code == 75, "{path} {when} {line}: {run:?}");
        }
    }
}

#[test]
fn no_failing_call_of_the_resolver_makes_a_verdict() {
    if !can_inject() {
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
                ("resolve --timeout 1 good.test", "10.1.1.1\n"),
                ("resolve --timeout 1 --via dns good.test", "10.1.1.1\n"),
                ("resolve --timeout 1 --tcp good.test", "10.1.1.1\n"),
            ] {
                let Some(words) = machine.words() else { return };
                let run = injected(sockit(line), call, errno, when).under(words).run();
                let known = run.code == 0 && run.text() == answer;
                let open = run.code == 75 && run.stdout.is_empty();
                // What is never sent is late in the end; and what cannot be told is untold.
                let late = run.code == 28 && run.took > Duration::from_millis(900);
                let untold = call == "write" && matches!(run.code, 23 | 75);
                assert!(known || open || late || untold, "{call} {errno} {when} {line}: {run:?}");
            }
        }
    }
}

#[test]
fn a_server_that_finds_our_question_wrong_is_no_absence() {
    let Some(_) = program("python3") else { return };
    // FORMERR (1) and NOTAUTH (9) are "no such name" to the C library.
    for code in [1, 9] {
        let script = format!(
            "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
             s.bind((\"127.0.0.1\", 53))\nwhile 1:\n d, a = s.recvfrom(4096); i = 12\n \
             while d[i]: i += d[i] + 1\n \
             s.sendto(d[:2] + bytes([133, 128 | {code}, 0, 1, 0, 0, 0, 0, 0, 0]) + d[12:i+5], a)\n"
        );
        let machine = bare().before(&format!(
            "mount -t proc proc /proc || exit 97
            python3 -c '{script}' & server=$!
            until grep -q :0035 /proc/net/udp; do kill -0 $server || exit 98; sleep 0.01; done"
        ));
        for line in ["resolve good.test", "resolve --verify 10.1.1.1", "resolve --all good.test"] {
            let Some(run) = machine.run(line) else { return };
            run.exits(75).prints("").fails_at("resolve");
        }
        // The hosts file needs no server.
        let Some(run) = machine.run("resolve --verify 10.1.1.7") else { return };
        run.exits(0).prints("Validated hostname: stale.test\n");
    }
}
