//! Command lines as scripts have them, run by `sockit nc`, and on request by nc.openbsd and ncat side
//! by side. docs/nc.md has the results.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::docs::tables::read;
use crate::support::peer;
use crate::support::process::Process;
use crate::support::sockit::{LIMIT, scratch};

/// How long an answer is late: longer than the second that scripts give netcat.
const LATE: Duration = Duration::from_millis(2500);
/// Another netcat that runs longer is one that does not end.
const OTHER_TIMEOUT: Duration = Duration::from_secs(6);

/// The other end of a command line.
#[derive(Clone, Copy)]
enum Peer {
    /// None: the port is closed.
    Closed,
    /// A server that answers a line, after a time.
    Answers(Duration),
    /// A server that answers the end of the stream, after a time.
    AnswersEof(Duration),
    /// A server that sends a line, and waits for the end of the stream.
    Greets,
    /// A server that sends a line and closes.
    Sends,
    /// A server that reads to the end.
    Sink,
    /// An HTTP proxy whose target answers a line.
    Proxy,
    /// The same as `Answers`, on a Unix socket.
    Unix,
    /// A server that answers a datagram with two.
    Udp,
    /// A client that sends a line and the end of the stream, and reads to the end.
    Client,
    /// A client that only reads to the end.
    Reader,
    /// Two of the former, one after the other.
    Clients,
    /// A client that sends two datagrams.
    Sender,
}

/// A command line; `NC`, `PORT` and `PATH` stand for what the test chooses.
struct Line {
    kind: &'static str,
    line: &'static str,
    peer: Peer,
    /// Why `sockit nc` differs from nc.openbsd; empty where it does not.
    why: &'static str,
}

const fn line(kind: &'static str, line: &'static str, peer: Peer, why: &'static str) -> Line {
    Line { kind, line, peer, why }
}

const NOW: Duration = Duration::ZERO;
const LOST: &str = "the late answer is not lost";
const FIN: &str = "the end of stdin is sent, so that both sides end";
const NEW: &str = "a flag that nc.openbsd does not have";

const LINES: [Line; 32] = [
    line("health check", "NC -z 127.0.0.1 PORT", Peer::Sink, ""),
    line("health check", "NC -z 127.0.0.1 PORT", Peer::Closed, ""),
    line("health check", "NC -z -w 2 127.0.0.1 PORT", Peer::Sink, ""),
    line("health check", "NC -w 1 127.0.0.1 PORT < /dev/null", Peer::Sink, ""),
    line("health check", "echo ruok | NC 127.0.0.1 PORT", Peer::Answers(NOW), ""),
    line("health check", "echo ruok | NC -w 1 127.0.0.1 PORT", Peer::Answers(LATE), LOST),
    line("health check", "echo ruok | NC -q 1 127.0.0.1 PORT", Peer::Answers(LATE), ""),
    line("health check", "echo ruok | NC -N 127.0.0.1 PORT", Peer::AnswersEof(LATE), ""),
    line("health check", "echo ruok | NC 127.0.0.1 PORT", Peer::AnswersEof(NOW), FIN),
    line("port scan", "NC -zv 127.0.0.1 PORT 2>&1 | grep -c succeeded", Peer::Sink, ""),
    line("port scan", "NC -nzvw1 127.0.0.1 PORT 2>&1 | grep -c refused", Peer::Closed, ""),
    line("port scan", "NC -vz 127.0.0.1 1-2 2>&1 | grep -ci refused", Peer::Closed, ""),
    line("banner", "NC -w 2 127.0.0.1 PORT < /dev/null", Peer::Greets, ""),
    line("banner", "echo | NC -w 1 127.0.0.1 PORT", Peer::Greets, ""),
    line(
        "HTTP request",
        "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | NC 127.0.0.1 PORT",
        Peer::Answers(NOW),
        "",
    ),
    line("SMTP", "printf 'QUIT\\n' | NC -C 127.0.0.1 PORT", Peer::Answers(NOW), ""),
    line("metrics", "echo 'load 1 2' | NC -q 0 127.0.0.1 PORT", Peer::Sink, ""),
    line("metrics", "echo 'load:1' | NC -u -w 1 127.0.0.1 PORT", Peer::Udp, ""),
    line("file transfer", "tar -cf - Cargo.toml | NC -N 127.0.0.1 PORT", Peer::Sink, ""),
    line("file transfer", "NC 127.0.0.1 PORT < /dev/null > PATH; cat PATH", Peer::Sends, ""),
    line("file transfer", "NC -d 127.0.0.1 PORT", Peer::Sends, ""),
    line("file transfer", "NC -l PORT > PATH < /dev/null; cat PATH", Peer::Client, ""),
    line("file transfer", "NC -l -p PORT < /dev/null", Peer::Client, ""),
    line("file transfer", "echo file | NC -l PORT", Peer::Reader, ""),
    line("web server", "echo page | NC -l PORT", Peer::Client, ""),
    line("web server", "(sleep 1; echo page) | NC -l PORT", Peer::Client, LOST),
    line("log receiver", "timeout 2 NC -lk PORT < /dev/null", Peer::Clients, ""),
    line("log receiver", "timeout 2 NC -klu PORT < /dev/null", Peer::Sender, ""),
    line("proxy", "echo hi | NC -X connect -x 127.0.0.1:PORT db.internal 80", Peer::Proxy, FIN),
    line("web server", "echo page | NC -l -p PORT -q 1", Peer::Client, ""),
    line("Unix socket", "echo ruok | NC -U PATH", Peer::Unix, ""),
    line("remote command", "NC -l PORT -e /bin/cat", Peer::Client, NEW),
];

/// What a tool did with a line.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    code: Option<i32>,
    stdout: Vec<u8>,
    /// What the other end received.
    received: Vec<u8>,
}

impl Outcome {
    /// A cell of the table.
    fn cell(&self) -> String {
        let code = self.code.map_or("does not end".to_string(), |code| code.to_string());
        let text = |bytes: &[u8]| match bytes.len() {
            0 => "nothing".to_string(),
            1..40 => {
                let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
                format!("`{}`", line.escape_ascii())
            }
            n => format!("{n} bytes"),
        };
        format!("{code}, {} / {}", text(&self.stdout), text(&self.received))
    }
}

fn read_all(mut stream: impl Read) -> Vec<u8> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return received,
            Ok(n) => received.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => return received,
        }
    }
}

fn read_line(stream: &mut impl Read) -> Vec<u8> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
        line.push(byte[0]);
    }
    line
}

/// Answers the first line, then reads what follows, as far as it is there.
fn answer(stream: &mut (impl Read + Write), delay: Duration) -> Vec<u8> {
    let received = read_line(stream);
    thread::sleep(delay);
    let _ = stream.write_all(b"answer\n");
    received
}

fn serve(peer: Peer, listener: &TcpListener) -> Vec<u8> {
    let mut stream = listener.accept().expect("a client").0;
    stream.set_read_timeout(Some(OTHER_TIMEOUT)).expect("a limit");
    match peer {
        Peer::Answers(delay) => {
            let received = answer(&mut stream, delay);
            // Unread bytes would make a reset of the close.
            let _ = stream.shutdown(Shutdown::Write);
            read_all(&stream);
            received
        }
        Peer::AnswersEof(delay) => {
            let received = read_all(&stream);
            thread::sleep(delay);
            let _ = stream.write_all(b"answer\n");
            received
        }
        Peer::Greets => {
            stream.write_all(b"hello\n").expect("the client reads");
            read_all(&stream)
        }
        Peer::Sends => {
            stream.write_all(b"file\n").expect("the client reads");
            Vec::new()
        }
        Peer::Proxy => {
            while read_line(&mut stream).len() > 2 {}
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").expect("the client reads");
            let received = read_all(&stream);
            let _ = stream.write_all(b"answer\n");
            received
        }
        _ => read_all(&stream),
    }
}

/// What a client of a listening tool does; returns what it received.
fn call_as(peer: Peer, process: &mut Process, port: u16) -> Vec<u8> {
    match peer {
        Peer::Sender => {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
            for text in ["one\n", "two\n"] {
                socket.send_to(text.as_bytes(), ("127.0.0.1", port)).expect("a receiver");
            }
            Vec::new()
        }
        Peer::Clients => {
            let first = call(port, b"one\n");
            wait_for_port(process, port);
            [first, call(port, b"two\n")].concat()
        }
        Peer::Client => call(port, b"request\n"),
        _ => call(port, b""),
    }
}

fn call(port: u16, text: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a server");
    stream.set_read_timeout(Some(OTHER_TIMEOUT)).expect("a limit");
    if !text.is_empty() {
        // A tool may have exited already.
        let _ = stream.write_all(text).and_then(|()| stream.shutdown(Shutdown::Write));
    }
    read_all(&stream)
}

/// Waits until a socket is bound to this port (proc(5)), or the tool has exited.
fn wait_for_port(process: &mut Process, port: u16) -> bool {
    let until = Instant::now() + LIMIT;
    let is_bound = || {
        // The state of a listening socket, and of a UDP socket.
        [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")].iter().any(
            |(table, state)| {
                let table =
                    std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
                table.lines().any(|line| {
                    let mut fields = line.split_whitespace().skip(1);
                    let (local, found) = (fields.next().unwrap_or_default(), fields.nth(1));
                    local.ends_with(&format!(":{port:04X}")) && found == Some(state)
                })
            },
        )
    };
    while !is_bound() {
        if !process.is_alive() || Instant::now() > until {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// The path for a file or socket of one run.
fn path_of(tool: &str, number: usize) -> String {
    let name = format!("nc-line-{number}-{tool}-{}", std::process::id()).replace([' ', '/'], "-");
    let path = scratch().join(name);
    let _ = std::fs::remove_file(&path);
    path.display().to_string()
}

fn start(line: &str) -> Process {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(env!("CARGO_MANIFEST_DIR")).env("LC_ALL", "C");
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::start(shell, None, LIMIT)
}

/// Runs a line with `tool` in place of `NC`.
fn run(number: usize, tool: &str) -> Outcome {
    let Line { line, peer, .. } = &LINES[number];
    let path = path_of(tool.rsplit('/').next().unwrap_or(tool), number);
    let with = |port: u16| {
        let line = line.replace("NC", tool).replace("PORT", &port.to_string());
        start(&line.replace("PATH", &path))
    };
    let (send, received) = mpsc::channel();
    // Bound until the end, so that no other test listens there.
    let refusing = peer::Refusing::new();
    let process = match *peer {
        Peer::Closed => {
            // Nothing is received.
            drop(send);
            with(refusing.addr().port())
        }
        Peer::Client | Peer::Reader | Peer::Clients | Peer::Sender => {
            let port = peer::free_port();
            let mut process = with(port);
            if wait_for_port(&mut process, port) {
                let _ = send.send(call_as(*peer, &mut process, port));
            }
            process
        }
        Peer::Unix => {
            let listener = UnixListener::bind(&path).expect("a free path");
            thread::spawn(move || {
                let _ = send.send(answer(&mut listener.accept().expect("a client").0, NOW));
            });
            with(0)
        }
        Peer::Udp => {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
            let process = with(socket.local_addr().expect("an address").port());
            thread::spawn(move || {
                let mut buffer = [0; 99];
                let (n, peer) = socket.recv_from(&mut buffer).expect("a datagram");
                for text in ["one\n", "two\n"] {
                    socket.send_to(text.as_bytes(), peer).expect("a sender");
                }
                let _ = send.send(buffer[..n].to_vec());
            });
            process
        }
        peer => {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let process = with(listener.local_addr().expect("an address").port());
            thread::spawn(move || send.send(serve(peer, &listener)));
            process
        }
    };
    let patience = if tool.ends_with(" nc") { LIMIT } else { OTHER_TIMEOUT };
    outcome(process, &received, patience)
}

fn outcome(
    mut process: Process,
    received: &mpsc::Receiver<Vec<u8>>,
    patience: Duration,
) -> Outcome {
    let until = Instant::now() + patience;
    while process.is_alive() && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    let code = (!process.is_alive()).then_some(0);
    let received = received.recv_timeout(patience).unwrap_or_default();
    match code {
        None => Outcome { code: None, stdout: process.stdout.bytes(), received },
        Some(_) => {
            let run = process.wait();
            Outcome { code: Some(run.code), stdout: run.stdout, received }
        }
    }
}

/// The results of all lines with `tool`, in their order.
fn cells(tool: &str) -> Vec<String> {
    let numbers: Vec<usize> = (0..LINES.len()).collect();
    let cells = |part: &[usize]| -> Vec<String> {
        part.iter().map(|number| run(*number, tool).cell()).collect()
    };
    thread::scope(|scope| {
        let parts = numbers.chunks(LINES.len() / 4);
        let runs: Vec<_> = parts.map(|part| scope.spawn(move || cells(part))).collect();
        runs.into_iter().flat_map(|run| run.join().expect("the results")).collect()
    })
}

/// The rows of docs/nc.md about these lines: its cells.
fn documented() -> Vec<Vec<String>> {
    let text = read("docs/nc.md");
    let (_, table) = text.split_once("| kind | line |").expect("the table");
    let cells =
        |row: &str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().into()).collect();
    table.lines().skip(2).take_while(|row| row.starts_with('|')).map(cells).collect()
}

#[test]
fn command_lines_of_scripts_end_as_documented() {
    let results = cells(&format!("{} nc", env!("CARGO_BIN_EXE_sockit")));
    let documented = documented();
    assert_eq!(documented.len(), LINES.len());
    for ((Line { kind, line, why, .. }, result), row) in LINES.iter().zip(results).zip(documented) {
        let line = format!("`{}`", line.replace('|', "\\|"));
        let own = [*kind, line.as_str(), result.as_str(), *why];
        assert_eq!([&row[0], &row[1], &row[4], &row[5]], own);
        assert_eq!(row[2] != row[4], !why.is_empty(), "{line}: a difference has its reason");
    }
}

/// The columns of the other netcats hold for the versions that docs/nc.md names, on a machine that
/// does nothing else: they are measured with `SOCKIT_MEASURE=1`.
#[test]
fn other_netcats_end_as_documented_when_measured() {
    if std::env::var_os("SOCKIT_MEASURE").is_none() {
        return;
    }
    let documented = documented();
    for (column, tool) in [(2, "nc.openbsd"), (3, "ncat")] {
        let column: Vec<_> = documented.iter().map(|row| row[column].clone()).collect();
        assert_eq!(cells(tool), column, "{tool}");
    }
}
