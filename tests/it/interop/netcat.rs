//! nc, ncat, socat and busybox as peers, in both roles.

use std::net::SocketAddr;
use std::process::Stdio;

use crate::support::peer;
use crate::support::process::Process;
use crate::support::sockit::{LIMIT, Run, sockit};

/// The command line of a peer; `PORT` is replaced by the port.
struct Tool {
    program: &'static str,
    args: &'static [&'static str],
}

/// nc.openbsd, ncat and busybox exit at the client's end of stream, whatever they still have to
/// send; against them, tcp-client must not half-close first.
fn client_line(tool: &Tool) -> &'static str {
    match tool.program {
        "nc.openbsd" | "ncat" | "busybox" => "tcp-client --no-half-close",
        _ => "tcp-client",
    }
}

/// Clients that half-close at the end of their stdin and wait for the answer.
const CLIENTS: [Tool; 4] = [
    Tool { program: "nc.openbsd", args: &["-N", "127.0.0.1", "PORT"] },
    Tool { program: "ncat", args: &["127.0.0.1", "PORT"] },
    Tool { program: "socat", args: &["-t10", "STDIO", "TCP4:127.0.0.1:PORT"] },
    Tool { program: "busybox", args: &["nc", "127.0.0.1", "PORT"] },
];

/// Servers of one client, connected to stdin and stdout.
const SERVERS: [Tool; 4] = [
    Tool { program: "nc.openbsd", args: &["-N", "-l", "127.0.0.1", "PORT"] },
    Tool { program: "ncat", args: &["-l", "127.0.0.1", "PORT"] },
    Tool {
        program: "socat",
        args: &["-t10", "STDIO", "TCP4-LISTEN:PORT,bind=127.0.0.1,reuseaddr"],
    },
    Tool { program: "busybox", args: &["nc", "-l", "-p", "PORT", "127.0.0.1"] },
];

impl Tool {
    fn start(&self, port: u16, input: &[u8]) -> Option<Process> {
        self.start_with(port, Some(input.to_vec()))
    }

    /// With a stdin that stays open.
    fn start_open(&self, port: u16) -> Option<Process> {
        self.start_with(port, None)
    }

    fn start_with(&self, port: u16, input: Option<Vec<u8>>) -> Option<Process> {
        let mut command = peer::program(self.program)?;
        command.args(self.args.iter().map(|arg| arg.replace("PORT", &port.to_string())));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Some(Process::start(command, input, LIMIT))
    }
}

fn bytes(size: usize) -> Vec<u8> {
    (0..=250).cycle().take(size).collect()
}

#[test]
fn netcat_client_gets_every_byte_from_echo() {
    for tool in CLIENTS {
        let server = sockit("tcp-server --service echo --once").serve();
        let sent = bytes(300_000);
        let Some(client) = tool.start(server.port(), &sent) else { continue };
        let run = client.wait();
        assert_eq!(run.code, 0, "{}: {}", tool.program, run.stderr);
        assert!(run.stdout == sent, "{}: {} bytes back", tool.program, run.stdout.len());
        server.wait().exits(0);
    }
}

#[test]
fn netcat_client_gets_the_complete_pipe_output() {
    for tool in CLIENTS {
        let answer = bytes(300_000);
        let mut server = sockit("tcp-server --service pipe --once").stdin_open().serve();
        let Some(client) = tool.start(server.port(), b"question") else { continue };
        server.write_stdin(&answer);
        // Some peers send nothing more after the server's end of stream.
        server.wait_for_output("question");
        server.close_stdin();
        let run = client.wait();
        assert!(run.stdout == answer, "{}: {} bytes came", tool.program, run.stdout.len());
        server.wait().exits(0).prints("question");
    }
}

#[test]
fn tcp_client_exchanges_data_with_netcat_server() {
    for tool in SERVERS {
        let port = peer::free_port();
        let answer = bytes(300_000);
        let Some(server) = tool.start(port, &answer) else { continue };
        peer::wait_for_listener(port);
        let at: SocketAddr = ([127, 0, 0, 1], port).into();
        let run = sockit(client_line(&tool)).to(at).stdin("from us").run();
        let detail = format!("{}: {}", tool.program, run.stderr);
        assert_eq!(run.code, 0, "{detail}");
        assert!(run.stdout == answer, "{detail}: {} bytes came", run.stdout.len());
        check(tool.program, server.wait());
    }
}

/// Data of a peer is complete where tcp-client has no input: the peer's end of stream comes first.
#[test]
fn null_stdin_gets_the_complete_file_from_netcat_server() {
    let traditional =
        Tool { program: "nc.traditional", args: &["-q1", "-l", "-p", "PORT", "-s", "127.0.0.1"] };
    for tool in SERVERS.into_iter().chain([traditional]) {
        let port = peer::free_port();
        let file = bytes(300_000);
        let Some(_server) = tool.start(port, &file) else { continue };
        peer::wait_for_listener(port);
        let at: SocketAddr = ([127, 0, 0, 1], port).into();
        let run = sockit("tcp-client").to(at).run();
        let came = run.stdout.len();
        assert!(run.stdout == file, "{}: {came} bytes, {}", tool.program, run.stderr);
        run.exits(0).logs_nothing();
    }
}

#[test]
fn null_stdin_gets_the_complete_file_from_netcat_client() {
    let more = [
        Tool { program: "nc.traditional", args: &["-q1", "127.0.0.1", "PORT"] },
        Tool { program: "curl", args: &["-s", "telnet://127.0.0.1:PORT"] },
    ];
    for tool in CLIENTS.into_iter().chain(more) {
        let server = sockit("tcp-server --service pipe --once").serve();
        let file = bytes(300_000);
        let Some(mut client) = tool.start_open(server.port()) else { continue };
        // The input is late: a peer that had read our end of stream would have exited by then.
        server.wait_for_log("Accept new connection");
        client.write_stdin(&file);
        client.close_stdin();
        server.wait_for_output_len(file.len());
        if tool.program == "curl" {
            // It waits for our end of stream and never sends its own.
            client.signal(libc::SIGTERM);
        }
        let run = server.wait();
        let came = run.stdout.len();
        assert!(run.stdout == file, "{}: {came} bytes, {}", tool.program, run.stderr);
        run.exits(0);
    }
}

fn check(program: &str, theirs: Run) {
    assert_eq!(theirs.stdout, b"from us", "{program}: {}", theirs.stderr);
}

#[test]
fn ncat_child_answers_tcp_client() {
    let Some(mut ncat) = peer::program("ncat") else { return };
    let port = peer::free_port();
    ncat.args(["-l", "127.0.0.1", &port.to_string(), "-e", "/bin/cat"]);
    ncat.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ncat = Process::start(ncat, Some(Vec::new()), LIMIT);
    peer::wait_for_listener(port);
    let client = sockit(&format!("tcp-client 127.0.0.1 {port} --send echo")).run();
    client.exits(0).prints("echo\n");
    drop(ncat);
}
