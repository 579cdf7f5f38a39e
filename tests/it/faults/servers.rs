//! Every system call the pair lives by, made to fail once by strace: no hang, no panic text,
//! and never exit code 0 with bytes missing.

use std::time::Duration;

use crate::peer::{self, call};
use crate::running::{Daemon, Running};
use crate::sockit::{Sockit, sockit};

/// A run whose `call` fails with `errno` at these occasions (`1`, `1..3`).
pub fn injected(run: Sockit, call: &str, errno: &str, when: &str) -> Sockit {
    let inject = format!("inject={call}:error={errno}:when={when}");
    // With -D the child is sockit itself, and strace goes when it goes.
    run.under(["strace", "-D", "-f", "-qqq", "-o", "/dev/null", "-e", &inject])
}

/// Whether strace is here and may trace.
pub fn can_inject() -> bool {
    let Some(mut strace) = peer::program("strace") else { return false };
    strace.args(["-qqq", "-o", "/dev/null", "true"]);
    strace.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    strace.stderr(std::process::Stdio::piped());
    let run = Running::start(strace, Some(Vec::new()), Duration::from_secs(10)).wait();
    if run.code != 0 {
        eprintln!("skipped: strace may not trace here: {}", run.stderr);
    }
    run.code == 0
}

#[test]
fn a_client_survives_the_failure_of_every_call() {
    if !can_inject() {
        return;
    }
    let calls = [
        ("socket", "EMFILE"),
        ("socket", "EACCES"),
        ("connect", "ECONNREFUSED"),
        ("connect", "EHOSTUNREACH"),
        ("connect", "ENETUNREACH"),
        ("connect", "EADDRNOTAVAIL"),
        ("sendto", "EPIPE"),
        ("sendto", "ECONNRESET"),
        ("sendto", "ENOBUFS"),
        ("recvfrom", "ECONNRESET"),
        ("recvfrom", "ETIMEDOUT"),
        ("recvfrom", "ENOMEM"),
        ("shutdown", "ENOTCONN"),
        ("shutdown", "ENOBUFS"),
        ("splice", "EINVAL"),
        ("splice", "ECONNRESET"),
        ("clone3", "EAGAIN"),
        ("poll,ppoll", "ENOMEM"),
    ];
    for (name, errno) in calls {
        for when in ["1", "2"] {
            let echo = peer::echoes();
            let client = sockit("tcp-client").to(echo.addr()).stdin("every byte");
            let run = injected(client, name, errno, when).run();
            let what = format!("{name} {errno} at {when}: code {}\n{}", run.code, run.stderr);
            assert!(!run.stderr.contains("internal error"), "{what}");
            assert!(run.code < 128, "{what}");
            assert!(run.code != 0 || run.stdout == b"every byte", "0 with bytes missing: {what}");
            assert!(run.code == 0 || run.stderr.starts_with("sockit: "), "untold: {what}");
        }
    }
}

#[test]
fn a_server_survives_the_failure_of_every_call_of_its_own() {
    if !can_inject() {
        return;
    }
    let calls = [
        ("accept4", "EMFILE", "1..3"),
        ("accept4", "ENFILE", "1..3"),
        ("accept4", "ECONNABORTED", "1..8"),
        ("accept4", "EINTR", "1..8"),
        ("accept4", "EPERM", "1..3"),
        ("accept4", "ENOBUFS", "1..3"),
        ("accept4", "ENOMEM", "1..3"),
        ("accept4", "EPROTO", "1..8"),
        ("clone3", "EAGAIN", "1..2"),
        ("setsockopt", "EINVAL", "6"),
    ];
    for (name, errno, when) in calls {
        let server = injected(sockit("tcp-server"), name, errno, when).serve();
        // The first callers may bear the failure; the fourth must not notice it any more.
        let served: Vec<_> = (0..4).map(|_| is_served(&server)).collect();
        assert!(served[3], "{name} {errno}: {served:?}");
        never_panicked(&server, name, errno);
    }
}

#[test]
fn a_server_survives_the_failure_of_every_call_of_its_connections() {
    if !can_inject() {
        return;
    }
    // strace counts these for each thread anew, so that every caller may meet one.
    for (name, errno) in [
        ("sendto", "ECONNRESET"),
        ("sendto", "EPIPE"),
        ("recvfrom", "ECONNRESET"),
        ("recvfrom", "ENOMEM"),
        ("shutdown", "ENOTCONN"),
        ("getpeername", "ENOTCONN"),
    ] {
        let mut server = injected(sockit("tcp-server"), name, errno, "1").serve();
        for _ in 0..4 {
            is_served(&server);
        }
        assert!(server.is_alive(), "{name} {errno}");
        never_panicked(&server, name, errno);
    }
}

/// Whether a caller is greeted and, having said exit, seen out.
fn is_served(server: &Daemon) -> bool {
    let mut caller = call(server.addr());
    let mut text = Vec::new();
    std::io::Write::write_all(&mut caller, b"exit").is_ok()
        && std::io::Read::read_to_end(&mut caller, &mut text).is_ok()
        && text == b"Welcome!"
}

fn never_panicked(server: &Daemon, name: &str, errno: &str) {
    let told = String::from_utf8_lossy(&server.stderr.bytes()).into_owned();
    assert!(!told.contains("internal error"), "{name} {errno}: {told}");
}

#[test]
fn a_server_that_cannot_listen_says_so() {
    if !can_inject() {
        return;
    }
    for (name, errno, code) in
        [("bind", "EADDRINUSE", 45), ("listen", "EADDRINUSE", 45), ("bind", "EACCES", 45)]
    {
        let run = injected(sockit("tcp-server --port 0"), name, errno, "1+").run();
        run.exits(code).fails_at(name);
    }
}
