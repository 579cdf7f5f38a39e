//! Privileges that a run drops after its setup, as `/proc` and strace(1) show them, and what must
//! still work then. What is forbidden is tested beside `process/sandbox`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use crate::support::peer::connect;
use crate::support::process::Process;
use crate::support::sockit::{Sockit, copy_sockit, scratch, sockit};
use crate::support::strace::can_trace;

/// The line that `-v` prints where the kernel has Landlock.
const RESTRICTED: &str = "Landlock confines this run";

/// A field of `/proc/PID/status`.
fn status(run: &Process, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    line.trim_start_matches(':').trim().to_string()
}

/// The number of successful landlock_restrict_self(2) calls of a run.
fn restrictions(run: Sockit) -> usize {
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let seen = folder.path().join("seen");
    let strace = ["strace", "-f", "-qqq", "-e", "trace=landlock_restrict_self", "-o"];
    run.under(strace.map(std::ffi::OsStr::new).into_iter().chain([seen.as_os_str()])).run();
    let seen = std::fs::read_to_string(seen).unwrap();
    seen.lines().filter(|line| line.ends_with("= 0")).count()
}

/// Whether sockit finds Landlock on this kernel.
fn has_landlock() -> bool {
    let run = sockit("resolve -v --timeout 2s --server 127.0.0.1:1 a.example").run();
    if !run.stderr.contains(RESTRICTED) {
        eprintln!("skipped: no Landlock here");
    }
    run.stderr.contains(RESTRICTED)
}

#[test]
fn no_new_privs_is_set_unless_allowed() {
    for line in ["tcp-server --port 0", "tcp-server --port 0 --sh cat", "udp-echo --port 0"] {
        assert_eq!(status(&sockit(line).serve(), "NoNewPrivs"), "1", "{line}");
    }
    let trusting = sockit("tcp-server --port 0 --sh cat --allow-new-privileges").serve();
    assert_eq!(status(&trusting, "NoNewPrivs"), "0");
}

/// Words that start a program as the user 65534 with some capabilities of root.
const CAPABLE: [&str; 6] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=+setuid,+setgid,+net_bind_service",
    "--ambient-caps=+setuid,+setgid,+net_bind_service",
];

#[test]
fn user_and_group_drop_all_capabilities() {
    if !rustix::process::geteuid().is_root() || crate::support::peer::program("setpriv").is_none() {
        return;
    }
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let copy = dir.path().join("sockit");
    copy_sockit(&copy);
    for (line, words) in [
        ("tcp-server --user 65533 --group 65533", &CAPABLE[..]),
        ("tcp-server --service chat --user 65534 --group 65534", &CAPABLE[..]),
        ("tcp-server --service chat --user 65533 --group 65533", &CAPABLE[..]),
        ("udp-echo --group 65533", &CAPABLE[..]),
        ("tcp-server --user 65533 --group 65533", &[]),
    ] {
        let server = sockit(line).instead(&copy).under(words).serve();
        for task in std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().flatten() {
            let text = std::fs::read_to_string(task.path().join("status")).unwrap();
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                let line = text.lines().find(|line| line.starts_with(set)).unwrap();
                assert!(line.ends_with("\t0000000000000000"), "{words:?}: {line}");
            }
        }
    }
    let capable = sockit("udp-echo").instead(&copy).under(CAPABLE).serve();
    assert_ne!(status(&capable, "CapPrm"), "0000000000000000", "without the flags they stay");
}

#[test]
fn user_root_drops_supplementary_groups() {
    if !rustix::process::geteuid().is_root() || crate::support::peer::program("setpriv").is_none() {
        return;
    }
    for line in ["--user root --group 0", "--user 0", "--group 0"] {
        let server = sockit("tcp-server").and(line).under(["setpriv", "--groups", "61901,61902"]);
        let groups = status(&server.serve(), "Groups");
        assert!(!groups.contains("6190"), "{line}: {groups}");
    }
}

#[test]
fn landlock_restricts_all_but_exec_and_save() {
    if !can_trace() || !has_landlock() {
        return;
    }
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let dir = folder.path();
    let serving = |line: &str| restrictions(sockit(line).and("--timeout 300ms"));
    for line in ["tcp-server --port 0", "udp-server --port 0", "udp-echo --port 0"] {
        assert_eq!(serving(line), 1, "{line}");
    }
    let path = dir.join("s").display().to_string();
    assert_eq!(serving(&format!("unix-server {path}")), 1);
    for line in ["--sh cat", &format!("--save {}", dir.display())] {
        assert_eq!(serving(&format!("tcp-server --port 0 {line}")), 0, "{line}");
    }
    let running = |line: &str| restrictions(sockit(line));
    assert_eq!(running("resolve --timeout 2s --server 127.0.0.1:1 a.example"), 1);
    assert_eq!(running("check 127.0.0.1:1"), 1);
    #[cfg(feature = "http")]
    assert_eq!(running("http-get http://127.0.0.1:1/"), 1);
}

#[test]
fn sandboxed_server_prints_local_time() {
    let zone = "Asia/Kathmandu";
    if !std::path::Path::new("/usr/share/zoneinfo").join(zone).exists() {
        eprintln!("skipped: no time zones here");
        return;
    }
    let server =
        sockit("tcp-server --port 0 --service time --reply {time}").env("TZ", zone).serve();
    let mut client = connect(server.addr());
    client.write_all(b"when\n").unwrap();
    let mut time = String::new();
    BufReader::new(client).read_line(&mut time).unwrap();
    let there = std::process::Command::new("date").env("TZ", zone).arg("+%b %e %H").output();
    let hour = String::from_utf8(there.unwrap().stdout).unwrap();
    let minute_later = time.contains(":00:0");
    assert!(time.contains(hour.trim()) || minute_later, "{time} is not {hour}");
}

#[test]
fn sandboxed_server_removes_its_socket() {
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let path = folder.path().join("s");
    for kind in ["", "--datagram"] {
        let server = sockit("unix-server").arg(&path).and(kind).serve();
        assert!(path.exists());
        if kind.is_empty() {
            let mut client = UnixStream::connect(&path).unwrap();
            client.write_all(b"exit\n").unwrap();
        }
        server.stop().exits(0);
        assert!(!path.exists(), "{kind}");
    }
}
