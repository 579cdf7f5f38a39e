//! Each system call of a client fails once. The tables have the exit code and the phase of the
//! important ones; every other call must end in one error line too.

use super::scenarios::{Peers, Scenario};
use super::{each, is_orderly, step};
use crate::support::sockit::sockit;
use crate::support::strace::{can_trace, count_calls, injected, logged};

/// A call, its errno, the occasion, the exit code and the phase of the error line; 0 means that no
/// byte is lost.
type Row = (&'static str, &'static str, &'static str, i32, &'static str);

fn check_row(peers: &Peers, scenario: &Scenario, row: &Row) -> Result<(), String> {
    let (call, errno, when, code, phase) = *row;
    let (run, out) = peers.play(scenario);
    let run = injected(run, call, errno, when).run();
    let failed_at = run.stderr.lines().find_map(step).unwrap_or_default();
    let checked = if (run.code, failed_at) == (code, phase) {
        scenario.check(&run, &out)
    } else {
        Err(format!("wanted {code} {phase}, got {} {}", run.code, run.stderr.trim_end()))
    };
    checked.map_err(|why| format!("{} / {call} {errno} {when}: {why}", scenario.name))
}

/// Every client that connects over TCP.
const CONNECT: [Row; 14] = [
    ("pipe2", "EMFILE", "1", 1, "socket"),
    ("socket", "EMFILE", "1", 7, "socket"),
    ("socket", "ENOBUFS", "1", 7, "socket"),
    ("socket", "EACCES", "1", 7, "socket"),
    ("connect", "ECONNREFUSED", "1", 7, "connect"),
    ("connect", "EHOSTUNREACH", "1", 7, "connect"),
    ("connect", "ENETUNREACH", "1", 7, "connect"),
    ("connect", "EADDRNOTAVAIL", "1", 7, "connect"),
    ("connect", "EPERM", "1", 7, "connect"),
    ("connect", "ETIMEDOUT", "1", 28, "connect"),
    ("connect", "EINTR", "1", 0, ""),
    ("ppoll", "ENOMEM", "1", 0, ""),
    ("ppoll", "ENOMEM", "2", 0, ""),
    ("ppoll", "EINTR", "1", 0, ""),
];

/// Clients that connect to a proxy.
const PROXY: [Row; 8] = [
    ("socket", "EMFILE", "1", 7, "socket"),
    ("connect", "ECONNREFUSED", "1", 7, "proxy"),
    ("connect", "ETIMEDOUT", "1", 28, "proxy"),
    ("sendto", "ENOBUFS", "1", 7, "proxy"),
    ("sendto", "ECONNRESET", "1", 8, "proxy"),
    ("recvfrom", "ENOMEM", "1", 7, "proxy"),
    ("recvfrom", "ECONNRESET", "1", 8, "proxy"),
    ("ppoll", "ENOMEM", "2", 0, ""),
];

/// A pipe session: splice(2) falls back to copying, other errors are reported.
const PIPE: [Row; 12] = [
    ("clone3", "EAGAIN", "1", 1, "socket"),
    ("clone3", "EAGAIN", "2", 1, "socket"),
    ("pipe2", "EMFILE", "2", 1, "socket"),
    ("splice", "EINVAL", "1", 0, ""),
    ("splice", "EINVAL", "2", 0, ""),
    ("splice", "ECONNRESET", "1", 18, "send"),
    ("splice", "ECONNRESET", "2", 18, "send"),
    ("splice", "EPIPE", "1", 18, "send"),
    ("splice", "ENOBUFS", "1", 55, "send"),
    ("splice", "ENOBUFS", "2", 18, "send"),
    ("shutdown", "ENOTCONN", "1", 55, "shutdown"),
    ("shutdown", "ENOBUFS", "1", 55, "shutdown"),
];

/// `--send` and `--expect`.
const SCRIPT: [Row; 10] = [
    ("clone3", "EAGAIN", "1", 1, "socket"),
    ("sendto", "ENOBUFS", "1", 55, "send"),
    ("sendto", "EPERM", "1", 55, "send"),
    ("sendto", "ECONNRESET", "1", 18, "send"),
    ("sendto", "EPIPE", "1", 18, "send"),
    ("recvfrom", "ECONNRESET", "1", 56, "receive"),
    ("recvfrom", "ECONNRESET", "2", 18, "receive"),
    ("recvfrom", "EINTR", "1", 0, ""),
    ("shutdown", "ENOBUFS", "1", 55, "shutdown"),
    ("write", "ENOSPC", "1", 23, "stdout"),
];

const COPY: [Row; 5] = [
    ("sendto", "ENOBUFS", "1", 55, "send"),
    ("sendto", "EPERM", "1", 55, "send"),
    ("sendto", "ECONNRESET", "1", 18, "send"),
    ("sendto", "EINTR", "1", 0, ""),
    ("recvfrom", "EINTR", "1", 0, ""),
];

const FILES: [Row; 7] = [
    ("sendfile", "EINVAL", "1", 0, ""),
    ("sendfile", "EIO", "1", 26, "file"),
    ("sendfile", "ECONNRESET", "1", 18, "send"),
    ("splice", "EINVAL", "1", 0, ""),
    ("splice", "EINVAL", "2", 0, ""),
    ("splice", "ENOSPC", "2", 23, "file"),
    ("splice", "EPIPE", "2", 23, "file"),
];

const TLS: [Row; 8] = [
    ("sendmsg", "ECONNRESET", "1", 35, "tls"),
    ("sendmsg", "ENOBUFS", "2", 35, "tls"),
    ("sendmsg", "ENOBUFS", "3", 55, "send"),
    ("sendmsg", "ECONNRESET", "3", 18, "send"),
    ("sendmsg", "EPERM", "4", 55, "shutdown"),
    ("recvfrom", "ECONNRESET", "1", 35, "tls"),
    ("recvfrom", "EINTR", "1", 0, ""),
    ("write", "ENOSPC", "1", 23, "stdout"),
];

const UNIX: [Row; 5] = [
    ("socket", "EMFILE", "1", 7, "socket"),
    ("connect", "ECONNREFUSED", "1", 7, "connect"),
    ("connect", "ENOENT", "1", 7, "connect"),
    ("connect", "EACCES", "1", 7, "connect"),
    ("connect", "EAGAIN", "1", 0, ""),
];

const DATAGRAMS: [Row; 10] = [
    ("socket", "EMFILE", "1", 7, "socket"),
    ("bind", "EADDRINUSE", "1", 45, "bind"),
    ("connect", "ECONNREFUSED", "1", 7, "connect"),
    ("sendmmsg", "ENOBUFS", "1", 0, ""),
    ("sendmmsg", "EAGAIN", "1", 0, ""),
    ("sendmmsg", "EINTR", "1", 0, ""),
    ("sendmmsg", "ENOSYS", "1", 0, ""),
    ("recvmmsg", "EINTR", "1", 0, ""),
    ("recvmmsg", "ENOSYS", "1", 0, ""),
    ("write", "ENOSPC", "1", 23, "stdout"),
];

const UDP: [Row; 2] =
    [("sendmmsg", "EPERM", "1", 55, "send"), ("connect", "ENETUNREACH", "1", 7, "connect")];

const GET: [Row; 8] = [
    ("sendto", "ENOBUFS", "1", 55, "send"),
    ("sendto", "EPERM", "1", 55, "send"),
    ("sendto", "ENOMEM", "1", 55, "send"),
    ("sendto", "EINTR", "1", 0, ""),
    ("recvfrom", "ECONNRESET", "1", 56, "receive"),
    ("recvfrom", "ETIMEDOUT", "1", 56, "receive"),
    ("recvfrom", "EINTR", "1", 0, ""),
    ("write", "EIO", "1", 23, "stdout"),
];

const GET_FILE: [Row; 6] = [
    ("ftruncate", "EIO", "1", 23, "file"),
    ("flock", "EAGAIN", "1", 23, "file"),
    ("flock", "ENOLCK", "1", 0, ""),
    ("write", "ENOSPC", "1", 23, "file"),
    ("renameat", "EACCES", "1", 23, "file"),
    ("recvfrom", "ECONNRESET", "1", 56, "receive"),
];

const RESOLVE: [Row; 8] = [
    ("socket", "EMFILE", "1", 75, "resolve"),
    ("clone3", "EAGAIN", "1", 75, "resolve"),
    ("sendto", "ENETUNREACH", "1", 75, "resolve"),
    ("recvfrom", "EINTR", "1", 0, ""),
    ("ppoll", "ENOMEM", "1", 0, ""),
    ("getrandom", "ENOSYS", "2", 0, ""),
    ("write", "EIO", "1", 23, "stdout"),
    ("write", "EAGAIN", "1", 0, ""),
];

#[test]
fn failing_call_has_its_exit_code_and_phase() {
    if !can_trace() {
        return;
    }
    let peers = Peers::new();
    let scenarios = peers.scenarios();
    let mut all = Vec::new();
    for (names, rows) in [
        (&["pipe", "script", "get", "tls script", "get tls"][..], &CONNECT[..]),
        (&["socks", "connect", "get by socks", "tls by socks"], &PROXY),
        (&["pipe", "unix"], &PIPE),
        (&["script", "unix script"], &SCRIPT),
        (&["copy"], &COPY),
        (&["files"], &FILES),
        (&["tls script"], &TLS),
        (&["unix", "unix script"], &UNIX),
        (&["udp", "udp file", "unix letters"], &DATAGRAMS),
        (&["udp", "udp file"], &UDP),
        (&["get"], &GET),
        (&["get file"], &GET_FILE),
        (&["ask", "ask tcp"], &RESOLVE),
    ] {
        // A build without TLS has fewer scenarios.
        let named = scenarios.iter().filter(|scenario| names.contains(&scenario.name));
        all.extend(named.flat_map(|scenario| rows.iter().map(move |row| (scenario, row))));
    }
    each(&all, |(scenario, row)| check_row(&peers, scenario, row));
}

/// Calls that are not injected: those of the loader, the C library or the start of the standard
/// library, which aborts when they fail, and those that cannot fail.
const NOT_INJECTED: [&str; 34] = [
    "access",
    "arch_prctl",
    "brk",
    "clock_nanosleep",
    "close",
    "execve",
    "exit",
    "exit_group",
    "futex",
    "getpid",
    "gettid",
    "getuid",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "newfstatat",
    "pread64",
    "prlimit64",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "tgkill",
    "umask",
    "uname",
    "wait4",
    "getrandom",
];

/// The errno of a call that has no row.
fn errno_of(call: &str) -> &'static str {
    match call {
        "socket" | "pipe2" | "openat" | "dup" | "fcntl" | "landlock_create_ruleset" => "EMFILE",
        "clone3" => "EAGAIN",
        "poll" | "ppoll" | "recvmmsg" => "ENOMEM",
        "connect" | "mkdir" | "renameat" | "statx" | "readlink" | "unlink" => "EACCES",
        "sendto" | "sendmsg" | "sendmmsg" | "getsockname" | "setsockopt" => "ENOBUFS",
        "shutdown" | "getpeername" => "ENOTCONN",
        "recvfrom" | "recvmsg" => "ECONNRESET",
        _ => "EIO",
    }
}

#[test]
fn any_failing_call_ends_in_one_error_line() {
    if !can_trace() {
        return;
    }
    let peers = Peers::new();
    let log = peers.path("start");
    logged(sockit("--version"), &log).run();
    let start = count_calls(&log);
    let scenarios = peers.scenarios();
    let mut rows = Vec::new();
    for scenario in &scenarios {
        let log = peers.path("calls");
        let (run, out) = peers.play(scenario);
        let run = logged(run, &log).run();
        scenario.check(&run, &out).unwrap_or_else(|why| panic!("{}: {why}", scenario.name));
        for (call, times) in count_calls(&log) {
            if NOT_INJECTED.contains(&call.as_str()) {
                continue;
            }
            // The first calls are those of the loader.
            let first = match call.as_str() {
                "openat" | "read" | "fstat" => start.get(&call).copied().unwrap_or(0),
                _ => 0,
            };
            rows.extend(
                (first + 1..=times.min(first + 3)).map(|when| (scenario, call.clone(), when)),
            );
        }
    }
    each(&rows, |(scenario, call, when)| {
        let (run, out) = peers.play(scenario);
        let run = injected(run, call, errno_of(call), &when.to_string()).run();
        let checked = match (call.as_str(), run.code) {
            // The error line is written by another thread, whose write(2) fails as well.
            ("write", 23) => Ok(()),
            _ => scenario.check(&run, &out),
        };
        checked.map_err(|why| format!("{} / {call} {when}: {why}", scenario.name))
    });
}

#[test]
fn server_that_cannot_listen_exits_45() {
    if !can_trace() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (at, letters) = (path("socket"), path("letters"));
    let lines = [
        "tcp-server --port 0".to_string(),
        "tcp-server --port 0 --service pipe".to_string(),
        format!("unix-server {at}"),
        format!("unix-server --datagram {letters}"),
        "udp-echo --port 0".to_string(),
        "udp-server --port 0".to_string(),
    ];
    let mut rows = Vec::new();
    for line in &lines {
        rows.push((line, "socket", "EMFILE", "socket"));
        rows.push((line, "bind", "EACCES", "bind"));
        if !line.contains("udp") && !line.contains("datagram") {
            rows.push((line, "listen", "EADDRINUSE", "listen"));
        }
    }
    each(&rows, |(line, call, errno, phase)| {
        let run = injected(sockit(line), call, errno, "1+").run();
        let failed_at = run.stderr.lines().find_map(step).unwrap_or_default();
        is_orderly(&run)?;
        match (run.code, failed_at == *phase) {
            (45, true) => Ok(()),
            _ => Err(format!("{line} / {call} {errno}: {} {}", run.code, run.stderr)),
        }
    });
}
