//! Every system call that a server makes, refused: the callers it concerns may suffer, those who
//! come later never notice, and nobody is told that something is whole which is not.

use std::io::{Read, Write};
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use super::each;
use crate::support::process::Daemon;
use crate::support::sockit::{LIMIT, sockit};
use crate::support::strace::{can_inject, injected};

/// A server and what a caller does there.
#[derive(Clone, Copy)]
struct House {
    line: &'static str,
    /// Whether one is served as one should be.
    visit: fn(&mut Socket) -> std::io::Result<bool>,
}

const HELLO: House = House { line: "tcp-server", visit: says_exit };
const TIME: House =
    House { line: "tcp-server --service time --greeting hi", visit: says_exit_late };
const ECHO: House = House { line: "tcp-server --service echo", visit: hears_itself };
const IDLE: House =
    House { line: "tcp-server --service echo --idle-timeout 20", visit: hears_itself };
const FILE: House = House { line: "tcp-server --file FILE", visit: gets_the_file };
const EXEC: House = House { line: "tcp-server --exec cat", visit: hears_itself };
const CHAT: House = House { line: "tcp-server --service chat", visit: joins };
#[cfg(feature = "tls")]
const TLS: House = House { line: "tcp-server --tls --service echo", visit: speaks_tls };
const UNIX: House = House { line: "unix-server PATH", visit: says_exit };
const UNIX_ECHO: House = House { line: "unix-server PATH --service echo", visit: hears_itself };
const UNIX_EXEC: House = House { line: "unix-server PATH --exec cat", visit: hears_itself };

/// What the file of [`FILE`] holds.
const CONTENT: &[u8] = b"all that there is to get";

fn says_exit(caller: &mut Socket) -> std::io::Result<bool> {
    caller.write_all(b"exit")?;
    Ok(rest(caller)? == b"Welcome!")
}

fn says_exit_late(caller: &mut Socket) -> std::io::Result<bool> {
    let mut greeting = [0; 2];
    caller.read_exact(&mut greeting)?;
    caller.write_all(b"now")?;
    caller.shutdown(std::net::Shutdown::Write)?;
    Ok(&greeting == b"hi" && rest(caller)?.ends_with(b"] now"))
}

fn hears_itself(caller: &mut Socket) -> std::io::Result<bool> {
    caller.write_all(b"is there anybody")?;
    caller.shutdown(std::net::Shutdown::Write)?;
    Ok(rest(caller)? == b"is there anybody")
}

fn gets_the_file(caller: &mut Socket) -> std::io::Result<bool> {
    Ok(rest(caller)? == CONTENT)
}

/// After one who leaves before the handshake.
#[cfg(feature = "tls")]
fn speaks_tls(caller: &mut Socket) -> std::io::Result<bool> {
    let addr = caller.peer_addr()?.as_socket().expect("an address");
    caller.shutdown(std::net::Shutdown::Both)?;
    let client = sockit("tcp-client -q --tls --insecure").to(addr).stdin("is there anybody");
    Ok(client.run().stdout == b"is there anybody")
}

fn joins(caller: &mut Socket) -> std::io::Result<bool> {
    caller.write_all(b"anna\n")?;
    caller.shutdown(std::net::Shutdown::Write)?;
    rest(caller).map(|_| true)
}

fn rest(caller: &mut Socket) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    caller.read_to_end(&mut text).map(|_| text)
}

fn visit(house: &House, server: &Daemon) -> bool {
    visit_at(house, server.local())
}

fn visit_at(house: &House, local: &str) -> bool {
    let (domain, address) = match local.parse::<std::net::SocketAddr>() {
        Ok(addr) => (Domain::IPV4, addr.into()),
        Err(_) => (Domain::UNIX, SockAddr::unix(local).expect("a path")),
    };
    let mut caller = Socket::new(domain, Type::STREAM, None).expect("a socket");
    caller.set_read_timeout(Some(LIMIT)).expect("a limit");
    caller.set_write_timeout(Some(LIMIT)).expect("a limit");
    caller.connect(&address).is_ok() && (house.visit)(&mut caller).unwrap_or(false)
}

#[test]
fn callers_who_come_later_never_notice() {
    if !can_inject() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("file"), CONTENT).expect("a file to serve");
    let mut rows = Vec::new();
    for house in [HELLO, TIME, ECHO, IDLE, FILE, EXEC, CHAT, UNIX, UNIX_ECHO, UNIX_EXEC] {
        rows.extend(OF_THE_LISTENER.map(|(call, errno, when)| (house, call, errno, when)));
        // strace counts these for each thread anew: every caller may meet one.
        rows.extend(OF_A_CONNECTION.map(|(call, errno)| (house, call, errno, "1")));
    }
    #[cfg(feature = "tls")]
    {
        rows.extend(OF_TLS.map(|(call, errno, when)| (TLS, call, errno, when)));
        rows.push((TLS, "clone3", "EAGAIN", "1"));
    }
    // Its first thread is the one that writes to our screen.
    rows.retain(|(house, call, ..)| (house.line, *call) != (CHAT.line, "clone3"));
    rows.push((CHAT, "clone3", "EAGAIN", "2"));
    // The standard library reads by it whether exec(2) has failed, from a socket pair of its own
    // that never fails.
    rows.retain(|(house, call, errno, _)| {
        let is_own = house.line.contains("--exec") && *call == "recvfrom";
        !is_own || *errno == "EINTR"
    });
    rows.push((IDLE, "setsockopt", "ENOMEM", "2"));
    for (house, more) in [(FILE, &OF_FILES[..]), (EXEC, &OF_PROGRAMS), (UNIX_EXEC, &OF_PROGRAMS)] {
        rows.extend(more.iter().map(|(call, errno)| (house, *call, *errno, "1")));
    }
    each(&rows, |(house, call, errno, when)| {
        let line = filled(house.line, dir.path(), &format!("{call}-{errno}-{when}"));
        let server = injected(sockit(&line), call, errno, when);
        let mut server = server.serve();
        // The first may bear it. Of programs each new thread starts one, so that it takes some
        // callers more until all have had their refusal.
        let served = (0..12).map(|_| visit(house, &server)).skip(3).any(|served| served);
        let told = String::from_utf8_lossy(&server.stderr.bytes()).into_owned();
        let what = format!("{} / {call} {errno} {when}", house.line);
        let spared = OF_THE_LISTENER.iter().any(|row| row == &(*call, *errno, *when));
        if told.contains("internal error") || told.contains("panicked") {
            return Err(format!("{what}: {told}"));
        }
        if !server.is_alive() || (spared && !served) {
            return Err(format!("{what}: nobody is served any more: {told}"));
        }
        match server.stop().code {
            0 => Ok(()),
            code => Err(format!("{what}: left with {code}: {told}")),
        }
    });
}

/// Refused to the thread that takes callers in, so many times.
const OF_THE_LISTENER: [(&str, &str, &str); 14] = [
    ("accept4", "EMFILE", "1..3"),
    ("accept4", "ENFILE", "1..3"),
    ("accept4", "ECONNABORTED", "1..8"),
    ("accept4", "EINTR", "1..8"),
    ("accept4", "EPERM", "1..3"),
    ("accept4", "ENOBUFS", "1..3"),
    ("accept4", "ENOMEM", "1..3"),
    ("accept4", "EPROTO", "1..8"),
    ("accept4", "EOPNOTSUPP", "1..8"),
    ("accept4", "ENETDOWN", "1..8"),
    ("clone3", "EAGAIN", "1"),
    ("ppoll", "ENOMEM", "1..3"),
    ("ppoll", "EINTR", "1..3"),
    ("getsockname", "ENOBUFS", "2"),
];

/// Refused to each thread once.
const OF_A_CONNECTION: [(&str, &str); 10] = [
    ("sendto", "ECONNRESET"),
    ("sendto", "EPIPE"),
    ("sendto", "ENOBUFS"),
    ("recvfrom", "ECONNRESET"),
    ("recvfrom", "ENOMEM"),
    ("recvfrom", "EINTR"),
    ("shutdown", "ENOTCONN"),
    ("getpeername", "ENOTCONN"),
    ("splice", "ENOMEM"),
    ("splice", "EINVAL"),
];

/// Refused to each thread in the handshake, and behind it.
#[cfg(feature = "tls")]
const OF_TLS: [(&str, &str, &str); 13] = [
    ("recvfrom", "ECONNRESET", "1"),
    ("recvfrom", "ENOMEM", "1"),
    ("recvfrom", "EINTR", "1"),
    ("recvfrom", "EAGAIN", "1"),
    ("recvfrom", "ECONNRESET", "3"),
    ("recvfrom", "ENOMEM", "3"),
    ("sendto", "EPIPE", "1"),
    ("sendto", "ENOBUFS", "1"),
    ("sendmsg", "ECONNRESET", "1"),
    ("sendmsg", "ENOMEM", "1"),
    ("sendmsg", "ENOMEM", "2"),
    ("ppoll", "ENOMEM", "1"),
    ("shutdown", "ENOTCONN", "1"),
];

const OF_FILES: [(&str, &str); 3] =
    [("sendfile", "EIO"), ("sendfile", "EINVAL"), ("sendfile", "ECONNRESET")];

const OF_PROGRAMS: [(&str, &str); 3] =
    [("wait4", "ECHILD"), ("socketpair", "EMFILE"), ("clone", "EAGAIN")];

/// The line with its file, and with a socket that no other row has.
fn filled(line: &str, dir: &Path, row: &str) -> String {
    let here = dir.to_str().expect("a path");
    let name = line.replace([' ', '-'], "");
    line.replace("FILE", &format!("{here}/file")).replace("PATH", &format!("{here}/{name}-{row}"))
}

/// What the one caller of a server sees of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Everything came, and then a clean end.
    Whole,
    /// A reset: nobody can take that for all there was.
    Cut,
}

/// A server for one caller, what is refused, with which number it leaves and where it says that it
/// failed, and what the caller sees.
type Once = (House, &'static str, &'static str, &'static str, i32, &'static str, End);

const PIPE: House = House { line: "tcp-server --service pipe", visit: talks_to_stdin };
const UNIX_PIPE: House = House { line: "unix-server PATH --service pipe", visit: talks_to_stdin };
const SAVE: House = House { line: "tcp-server --save HERE", visit: leaves_a_file };

fn talks_to_stdin(caller: &mut Socket) -> std::io::Result<bool> {
    caller.write_all(b"from the caller")?;
    caller.shutdown(std::net::Shutdown::Write)?;
    Ok(rest(caller)? == b"from our stdin")
}

fn leaves_a_file(caller: &mut Socket) -> std::io::Result<bool> {
    caller.write_all(CONTENT)?;
    caller.shutdown(std::net::Shutdown::Write)?;
    Ok(rest(caller)? == b"")
}

const ONCE: [Once; 21] = [
    (PIPE, "none", "EIO", "1", 0, "", End::Whole),
    (PIPE, "clone3", "EAGAIN", "1", 1, "socket", End::Cut),
    (PIPE, "clone3", "EAGAIN", "2", 1, "socket", End::Cut),
    (PIPE, "getsockname", "ENOBUFS", "2", 1, "socket", End::Cut),
    (PIPE, "splice", "ECONNRESET", "1", 18, "send", End::Cut),
    (PIPE, "splice", "ENOSPC", "1", 23, "stdout", End::Cut),
    (PIPE, "splice", "EINVAL", "1", 0, "", End::Whole),
    (PIPE, "shutdown", "ENOBUFS", "1", 55, "shutdown", End::Cut),
    (PIPE, "accept4", "EMFILE", "1", 0, "", End::Whole),
    (PIPE, "pipe2", "EMFILE", "1", 1, "socket", End::Cut),
    (PIPE, "pipe2", "EMFILE", "2", 45, "listen", End::Cut),
    (UNIX_PIPE, "none", "EIO", "1", 0, "", End::Whole),
    (UNIX_PIPE, "clone3", "EAGAIN", "1", 1, "socket", End::Cut),
    (UNIX_PIPE, "splice", "ENOSPC", "1", 23, "stdout", End::Cut),
    (SAVE, "none", "EIO", "1", 0, "", End::Whole),
    (SAVE, "clone3", "EAGAIN", "1", 1, "socket", End::Cut),
    (SAVE, "splice", "ENOSPC", "2", 23, "file", End::Cut),
    (SAVE, "fsync", "EIO", "1", 23, "file", End::Cut),
    (SAVE, "renameat2", "EACCES", "1", 23, "file", End::Cut),
    (SAVE, "renameat2", "ENOSYS", "1", 0, "", End::Whole),
    (FILE, "sendfile", "EIO", "1", 26, "file", End::Cut),
];

#[test]
fn with_one_caller_only_its_failure_is_the_runs() {
    if !can_inject() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("file"), CONTENT).expect("a file to serve");
    each(&ONCE, |row| {
        let (house, call, errno, when, code, phase, end) = *row;
        let saved = dir.path().join(format!("{call}-{errno}-{when}"));
        let _ = std::fs::create_dir_all(&saved);
        let line = filled(house.line, dir.path(), &format!("once-{call}-{errno}-{when}"));
        let line = line.replace("HERE", saved.to_str().expect("a path"));
        let server = sockit(&line).and("--once").stdin("from our stdin");
        let server = match call {
            "none" => server,
            call => injected(server, call, errno, when),
        };
        let server = if line.starts_with("tcp") { server.and("--port 0") } else { server };
        let server = server.start();
        let seen = match local(&server) {
            Some(local) if visit_at(&house, &local) => End::Whole,
            _ => End::Cut,
        };
        let run = server.wait();
        let told = run.stderr.lines().find_map(super::step).unwrap_or_default();
        let lines = run.stderr.lines().filter(|line| super::step(line).is_some()).count();
        match (run.code, told, seen) == (code, phase, end) && lines <= 1 {
            true => Ok(()),
            false => Err(format!(
                "{line} / {call} {errno} {when}: {} and {seen:?}, wanted {code} {phase} {end:?}: {}",
                run.code, run.stderr
            )),
        }
    });
}

/// Where it listens; none if it ends before it does.
pub fn local(server: &crate::support::process::Running) -> Option<String> {
    server.stderr.wait(LIMIT, |told| {
        let told = String::from_utf8_lossy(told).into_owned();
        let (_, rest) = told.split_once("Waiting for ")?.1.split_once(" on ")?;
        rest.split_once("...\n").map(|(local, _)| local.to_string())
    })
}
