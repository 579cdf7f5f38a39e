//! What a run gives up once it is set up, as the kernel tells it, and that nothing it still has
//! to do is lost with it. What is then forbidden is tried beside `net/confine`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use crate::faults::strace::can_inject;
use crate::peer::call;
use crate::running::Running;
use crate::sockit::{Sockit, scratch, sockit};

/// The line that `-v` prints of it, where this kernel has Landlock.
const CONFINED: &str = "Landlock confines this run";

/// A field of `/proc/PID/status`.
fn status(run: &Running, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    line.trim_start_matches(':').trim().to_string()
}

/// The calls that confine, as strace sees them succeed in a whole run.
fn restrictions(run: Sockit) -> usize {
    let seen = scratch().join("seen");
    let strace = ["strace", "-f", "-qqq", "-e", "trace=landlock_restrict_self", "-o"];
    run.under(strace.map(std::ffi::OsStr::new).into_iter().chain([seen.as_os_str()])).run();
    let seen = std::fs::read_to_string(seen).unwrap();
    seen.lines().filter(|line| line.ends_with("= 0")).count()
}

/// Whether this kernel has Landlock, as sockit finds it.
fn has_landlock() -> bool {
    let run = sockit("resolve -v --timeout 2s --server 127.0.0.1:1 a.example").run();
    if !run.stderr.contains(CONFINED) {
        eprintln!("skipped: no Landlock here");
    }
    run.stderr.contains(CONFINED)
}

#[test]
fn every_run_that_starts_no_program_can_gain_no_privileges() {
    for line in ["tcp-server --port 0", "tcp-server --port 0 --sh cat", "udp-echo --port 0"] {
        assert_eq!(status(&sockit(line).serve(), "NoNewPrivs"), "1", "{line}");
    }
    let trusting = sockit("tcp-server --port 0 --sh cat --allow-new-privileges").serve();
    assert_eq!(status(&trusting, "NoNewPrivs"), "0");
}

#[test]
fn servers_and_clients_of_names_are_confined_and_those_with_programs_are_not() {
    if !can_inject() || !has_landlock() {
        return;
    }
    let place = scratch();
    let serving = |line: &str| restrictions(sockit(line).and("--timeout 300ms"));
    for line in ["tcp-server --port 0", "udp-server --port 0", "udp-echo --port 0"] {
        assert_eq!(serving(line), 1, "{line}");
    }
    let path = place.join("s").display().to_string();
    assert_eq!(serving(&format!("unix-server {path}")), 1);
    for line in ["--sh cat", &format!("--save {}", place.display())] {
        assert_eq!(serving(&format!("tcp-server --port 0 {line}")), 0, "{line}");
    }
    let running = |line: &str| restrictions(sockit(line));
    assert_eq!(running("resolve --timeout 2s --server 127.0.0.1:1 a.example"), 1);
    #[cfg(feature = "http")]
    assert_eq!(running("http-get http://127.0.0.1:1/"), 1);
}

#[test]
fn a_confined_server_still_knows_the_local_time() {
    let zone = "Asia/Kathmandu";
    if !std::path::Path::new("/usr/share/zoneinfo").join(zone).exists() {
        eprintln!("skipped: no time zones here");
        return;
    }
    let server =
        sockit("tcp-server --port 0 --service time --reply {time}").env("TZ", zone).serve();
    let mut caller = call(server.addr());
    caller.write_all(b"when\n").unwrap();
    let mut told = String::new();
    BufReader::new(caller).read_line(&mut told).unwrap();
    let there = std::process::Command::new("date").env("TZ", zone).arg("+%b %e %H").output();
    let hour = String::from_utf8(there.unwrap().stdout).unwrap();
    let minute_later = told.contains(":00:0");
    assert!(told.contains(hour.trim()) || minute_later, "{told} is not {hour}");
}

#[test]
fn a_confined_server_removes_its_socket() {
    let path = scratch().join("s");
    for kind in ["", "--datagram"] {
        let server = sockit("unix-server").arg(&path).and(kind).serve();
        assert!(path.exists());
        if kind.is_empty() {
            let mut caller = UnixStream::connect(&path).unwrap();
            caller.write_all(b"exit\n").unwrap();
        }
        server.stop().exits(0);
        assert!(!path.exists(), "{kind}");
    }
}
