//! Each system call of a server fails: the connection concerned may be closed, later clients are
//! served, and no incomplete transfer looks complete.

use std::io::{Read, Write};
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use super::each;
use crate::support::process::Daemon;
use crate::support::sockit::{LIMIT, sockit};
use crate::support::strace::{can_trace, injected};

/// A server and what its client does.
#[derive(Clone, Copy)]
struct Server {
    line: &'static str,
    /// Returns whether the client was served.
    exchange: fn(&mut Socket) -> std::io::Result<bool>,
}

const HELLO: Server = Server { line: "tcp-server", exchange: exits };
const TIME: Server =
    Server { line: "tcp-server --service time --greeting hi", exchange: sends_and_half_closes };
const ECHO: Server = Server { line: "tcp-server --service echo", exchange: is_echoed };
const IDLE: Server =
    Server { line: "tcp-server --service echo --idle-timeout 20", exchange: is_echoed };
const FILE: Server = Server { line: "tcp-server --file FILE", exchange: gets_the_file };
const EXEC: Server = Server { line: "tcp-server --exec cat", exchange: is_echoed };
const CHAT: Server = Server { line: "tcp-server --service chat", exchange: joins_chat };
#[cfg(feature = "tls")]
const TLS: Server =
    Server { line: "tcp-server --tls --service echo", exchange: is_echoed_over_tls };
const UNIX: Server = Server { line: "unix-server PATH", exchange: exits };
const UNIX_ECHO: Server = Server { line: "unix-server PATH --service echo", exchange: is_echoed };
const UNIX_EXEC: Server = Server { line: "unix-server PATH --exec cat", exchange: is_echoed };

/// The content of the file of [`FILE`].
const CONTENT: &[u8] = b"all that there is to get";

fn exits(client: &mut Socket) -> std::io::Result<bool> {
    client.write_all(b"exit")?;
    Ok(read_rest(client)? == b"Welcome!")
}

fn sends_and_half_closes(client: &mut Socket) -> std::io::Result<bool> {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting)?;
    client.write_all(b"now")?;
    client.shutdown(std::net::Shutdown::Write)?;
    Ok(&greeting == b"hi" && read_rest(client)?.ends_with(b"] now"))
}

fn is_echoed(client: &mut Socket) -> std::io::Result<bool> {
    client.write_all(b"a message")?;
    client.shutdown(std::net::Shutdown::Write)?;
    Ok(read_rest(client)? == b"a message")
}

fn gets_the_file(client: &mut Socket) -> std::io::Result<bool> {
    Ok(read_rest(client)? == CONTENT)
}

/// After a client that closes before the handshake.
#[cfg(feature = "tls")]
fn is_echoed_over_tls(client: &mut Socket) -> std::io::Result<bool> {
    let addr = client.peer_addr()?.as_socket().expect("an address");
    client.shutdown(std::net::Shutdown::Both)?;
    let client = sockit("tcp-client -q --tls --insecure").to(addr).stdin("a message");
    Ok(client.run().stdout == b"a message")
}

fn joins_chat(client: &mut Socket) -> std::io::Result<bool> {
    client.write_all(b"anna\n")?;
    client.shutdown(std::net::Shutdown::Write)?;
    read_rest(client).map(|_| true)
}

fn read_rest(client: &mut Socket) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    client.read_to_end(&mut text).map(|_| text)
}

fn exchange(server_kind: &Server, server: &Daemon) -> bool {
    exchange_with(server_kind, server.local())
}

fn exchange_with(server_kind: &Server, local: &str) -> bool {
    let (domain, address) = match local.parse::<std::net::SocketAddr>() {
        Ok(addr) => (Domain::IPV4, addr.into()),
        Err(_) => (Domain::UNIX, SockAddr::unix(local).expect("a path")),
    };
    let mut client = Socket::new(domain, Type::STREAM, None).expect("a socket");
    client.set_read_timeout(Some(LIMIT)).expect("a limit");
    client.set_write_timeout(Some(LIMIT)).expect("a limit");
    client.connect(&address).is_ok() && (server_kind.exchange)(&mut client).unwrap_or(false)
}

#[test]
fn failing_call_leaves_later_clients_served() {
    if !can_trace() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("file"), CONTENT).expect("a file to serve");
    let mut rows = Vec::new();
    for server_kind in [HELLO, TIME, ECHO, IDLE, FILE, EXEC, CHAT, UNIX, UNIX_ECHO, UNIX_EXEC] {
        rows.extend(ACCEPT_LOOP.map(|(call, errno, when)| (server_kind, call, errno, when)));
        // strace counts these per thread: every client may get one.
        rows.extend(CONNECTION.map(|(call, errno)| (server_kind, call, errno, "1")));
    }
    #[cfg(feature = "tls")]
    {
        rows.extend(HANDSHAKE.map(|(call, errno, when)| (TLS, call, errno, when)));
        rows.push((TLS, "clone3", "EAGAIN", "1"));
    }
    // Its first thread is the one that writes to stdout.
    rows.retain(|(server_kind, call, ..)| (server_kind.line, *call) != (CHAT.line, "clone3"));
    rows.push((CHAT, "clone3", "EAGAIN", "2"));
    // The standard library uses it to read the result of exec(2) from its own socket pair, which
    // never fails.
    rows.retain(|(server_kind, call, errno, _)| {
        let is_own = server_kind.line.contains("--exec") && *call == "recvfrom";
        !is_own || *errno == "EINTR"
    });
    rows.push((IDLE, "setsockopt", "ENOMEM", "2"));
    for (server_kind, more) in
        [(FILE, &FILE_CALLS[..]), (EXEC, &EXEC_CALLS), (UNIX_EXEC, &EXEC_CALLS)]
    {
        rows.extend(more.iter().map(|(call, errno)| (server_kind, *call, *errno, "1")));
    }
    each(&rows, |(server_kind, call, errno, when)| {
        let line = filled(server_kind.line, dir.path(), &format!("{call}-{errno}-{when}"));
        let server = injected(sockit(&line), call, errno, when);
        let mut server = server.serve();
        // The first client may get the failure. Each new thread starts one program, so a few more
        // clients pass until every thread has had its failure.
        let served = (0..12).map(|_| exchange(server_kind, &server)).skip(3).any(|served| served);
        let log = String::from_utf8_lossy(&server.stderr.bytes()).into_owned();
        let what = format!("{} / {call} {errno} {when}", server_kind.line);
        let must_serve = ACCEPT_LOOP.iter().any(|row| row == &(*call, *errno, *when));
        if log.contains("internal error") || log.contains("panicked") {
            return Err(format!("{what}: {log}"));
        }
        if !server.is_alive() || (must_serve && !served) {
            return Err(format!("{what}: no client is served: {log}"));
        }
        match server.stop().code {
            0 => Ok(()),
            code => Err(format!("{what}: exits with {code}: {log}")),
        }
    });
}

/// Failures of the thread that accepts, with their occasions.
const ACCEPT_LOOP: [(&str, &str, &str); 14] = [
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

/// One failure in each thread.
const CONNECTION: [(&str, &str); 10] = [
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

/// Failures in the handshake and after it.
#[cfg(feature = "tls")]
const HANDSHAKE: [(&str, &str, &str); 13] = [
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

const FILE_CALLS: [(&str, &str); 3] =
    [("sendfile", "EIO"), ("sendfile", "EINVAL"), ("sendfile", "ECONNRESET")];

const EXEC_CALLS: [(&str, &str); 3] =
    [("wait4", "ECHILD"), ("socketpair", "EMFILE"), ("clone", "EAGAIN")];

/// The line with the path of its file and of its own socket.
fn filled(line: &str, dir: &Path, row: &str) -> String {
    let here = dir.to_str().expect("a path");
    let name = line.replace([' ', '-'], "");
    line.replace("FILE", &format!("{here}/file")).replace("PATH", &format!("{here}/{name}-{row}"))
}

/// What the client of a server with `--once` sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PeerEnd {
    /// All data and an orderly end.
    Clean,
    /// A reset: the client knows that data is missing.
    Reset,
}

/// A server with `--once`, the call that fails, its errno and occasion, the exit code, the phase,
/// and what the client sees.
type Once = (Server, &'static str, &'static str, &'static str, i32, &'static str, PeerEnd);

const PIPE: Server = Server { line: "tcp-server --service pipe", exchange: exchanges_with_stdin };
const UNIX_PIPE: Server =
    Server { line: "unix-server PATH --service pipe", exchange: exchanges_with_stdin };
const SAVE: Server = Server { line: "tcp-server --save HERE", exchange: saves_a_file };

fn exchanges_with_stdin(client: &mut Socket) -> std::io::Result<bool> {
    client.write_all(b"from the client")?;
    client.shutdown(std::net::Shutdown::Write)?;
    Ok(read_rest(client)? == b"from our stdin")
}

fn saves_a_file(client: &mut Socket) -> std::io::Result<bool> {
    client.write_all(CONTENT)?;
    client.shutdown(std::net::Shutdown::Write)?;
    Ok(read_rest(client)? == b"")
}

const ONCE_ROWS: [Once; 22] = [
    (PIPE, "none", "EIO", "1", 0, "", PeerEnd::Clean),
    (PIPE, "clone3", "EAGAIN", "1", 1, "socket", PeerEnd::Reset),
    (PIPE, "clone3", "EAGAIN", "2", 1, "socket", PeerEnd::Reset),
    (PIPE, "getsockname", "ENOBUFS", "2", 1, "socket", PeerEnd::Reset),
    (PIPE, "splice", "ECONNRESET", "1", 18, "send", PeerEnd::Reset),
    (PIPE, "splice", "ENOSPC", "1", 23, "stdout", PeerEnd::Reset),
    (PIPE, "splice", "EINVAL", "1", 0, "", PeerEnd::Clean),
    (PIPE, "shutdown", "ENOBUFS", "1", 55, "shutdown", PeerEnd::Reset),
    (PIPE, "accept4", "EMFILE", "1", 0, "", PeerEnd::Clean),
    (PIPE, "pipe2", "EMFILE", "1", 1, "socket", PeerEnd::Reset),
    (PIPE, "pipe2", "EMFILE", "2", 45, "listen", PeerEnd::Reset),
    (UNIX_PIPE, "none", "EIO", "1", 0, "", PeerEnd::Clean),
    (UNIX_PIPE, "clone3", "EAGAIN", "1", 1, "socket", PeerEnd::Reset),
    (UNIX_PIPE, "splice", "ENOSPC", "1", 23, "stdout", PeerEnd::Reset),
    (SAVE, "none", "EIO", "1", 0, "", PeerEnd::Clean),
    (SAVE, "clone3", "EAGAIN", "1", 1, "socket", PeerEnd::Reset),
    (SAVE, "splice", "ENOSPC", "2", 23, "file", PeerEnd::Reset),
    (SAVE, "splice", "EPIPE", "2", 23, "file", PeerEnd::Reset),
    (SAVE, "fsync", "EIO", "1", 23, "file", PeerEnd::Reset),
    (SAVE, "renameat2", "EACCES", "1", 23, "file", PeerEnd::Reset),
    (SAVE, "renameat2", "ENOSYS", "1", 0, "", PeerEnd::Clean),
    (FILE, "sendfile", "EIO", "1", 26, "file", PeerEnd::Reset),
];

#[test]
fn failing_call_with_once_is_the_exit_code() {
    if !can_trace() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("file"), CONTENT).expect("a file to serve");
    each(&ONCE_ROWS, |row| {
        let (server_kind, call, errno, when, code, phase, end) = *row;
        let saved = dir.path().join(format!("{call}-{errno}-{when}"));
        let _ = std::fs::create_dir_all(&saved);
        let line = filled(server_kind.line, dir.path(), &format!("once-{call}-{errno}-{when}"));
        let line = line.replace("HERE", saved.to_str().expect("a path"));
        let server = sockit(&line).and("--once").stdin("from our stdin");
        let server = match call {
            "none" => server,
            call => injected(server, call, errno, when),
        };
        let server = if line.starts_with("tcp") { server.and("--port 0") } else { server };
        let server = server.start();
        let seen = match local(&server) {
            Some(local) if exchange_with(&server_kind, &local) => PeerEnd::Clean,
            _ => PeerEnd::Reset,
        };
        let run = server.wait();
        let failed_at = run.stderr.lines().find_map(super::step).unwrap_or_default();
        let lines = run.stderr.lines().filter(|line| super::step(line).is_some()).count();
        if (run.code, failed_at, seen) == (code, phase, end) && lines <= 1 {
            Ok(())
        } else {
            Err(format!(
                "{line} / {call} {errno} {when}: {} and {seen:?}, wanted {code} {phase} {end:?}: {}",
                run.code, run.stderr
            ))
        }
    });
}

/// The address it listens on; `None` if it ends before it listens.
pub fn local(server: &crate::support::process::Process) -> Option<String> {
    server.stderr.wait(LIMIT, |log| {
        let log = String::from_utf8_lossy(log).into_owned();
        let (_, rest) = log.split_once("Waiting for ")?.1.split_once(" on ")?;
        rest.split_once("...\n").map(|(local, _)| local.to_string())
    })
}
