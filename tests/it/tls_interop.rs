//! openssl, ncat, socat and Python at the other end of TLS, in both roles.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::papers::Authority;
use crate::peer;
use crate::running::Running;
use crate::sockit::{LIMIT, Run, sockit};

/// A real peer's command line; `{port}`, `{ca}` and `{paper}` stand for what they say.
struct Tool {
    program: &'static str,
    args: &'static [&'static str],
}

/// Sends stdin, half-closes, and prints what comes until the peer's goodbye.
const PYTHON_CLIENT: &str = "
import socket, ssl, sys, threading
port, ca = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile=ca)
stream = context.wrap_socket(socket.create_connection(('localhost', port)), server_hostname='localhost')
data = sys.stdin.buffer.read()
sender = threading.Thread(target=stream.sendall, args=(data,))
sender.start()
left = len(data)
while left:
    piece = stream.recv(65536)
    if not piece: break
    sys.stdout.buffer.write(piece)
    left -= len(piece)
sender.join()
stream.unwrap()
";

/// Echoes one caller to its end.
const PYTHON_ECHO: &str = "
import socket, ssl, sys
port, paper = int(sys.argv[1]), sys.argv[2]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(paper)
stream, _ = socket.create_server(('127.0.0.1', port)).accept()
stream = context.wrap_socket(stream, server_side=True)
while piece := stream.recv(65536):
    stream.sendall(piece)
stream.unwrap()
";

/// Clients that send their stdin and print what comes.
const CLIENTS: [Tool; 4] = [
    Tool {
        program: "openssl",
        args: &[
            "s_client",
            "-quiet",
            "-verify_return_error",
            "-CAfile",
            "{ca}",
            "-connect",
            "localhost:{port}",
        ],
    },
    Tool { program: "ncat", args: &["--ssl", "127.0.0.1", "{port}"] },
    Tool {
        program: "socat",
        args: &["-t20", "STDIO", "OPENSSL:localhost:{port},cafile={ca},pf=ip4"],
    },
    Tool { program: "python3", args: &["-c", PYTHON_CLIENT, "{port}", "{ca}"] },
];

/// Servers that echo one caller to its end.
const SERVERS: [Tool; 2] = [
    Tool { program: "python3", args: &["-c", PYTHON_ECHO, "{port}", "{paper}"] },
    Tool {
        program: "socat",
        args: &[
            "-t20",
            "OPENSSL-LISTEN:{port},bind=127.0.0.1,cert={paper},verify=0",
            "EXEC:/bin/cat",
        ],
    },
];

/// A server that echoes until its caller says goodbye, and leaves without one.
const NCAT: Tool = Tool {
    program: "ncat",
    args: &[
        "--ssl",
        "--ssl-cert",
        "{paper}",
        "--ssl-key",
        "{paper}",
        "-l",
        "127.0.0.1",
        "{port}",
        "-e",
        "/bin/cat",
    ],
};

impl Tool {
    fn start(&self, port: u16, ca: &Path, paper: &Path, input: Option<Vec<u8>>) -> Option<Running> {
        let mut command = peer::program(self.program)?;
        let (ca, paper) = (ca.to_str().expect("UTF-8"), paper.to_str().expect("UTF-8"));
        command.args(self.args.iter().map(|arg| {
            arg.replace("{port}", &port.to_string()).replace("{ca}", ca).replace("{paper}", paper)
        }));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Some(Running::start(command, input, LIMIT * 3))
    }
}

fn bytes(size: usize) -> Vec<u8> {
    (0..=250).cycle().take(size).collect()
}

#[test]
fn their_clients_get_every_byte_back() {
    let authority = Authority::new();
    let (ca, paper) = (authority.ca(), authority.paper(&["localhost"]));
    for tool in CLIENTS {
        let server = sockit("tcp-server --service echo --once --tls --cert").arg(&paper).serve();
        let sent = bytes(16 << 20);
        // openssl never leaves by itself.
        let stays = tool.program == "openssl";
        let input = (!stays).then(|| sent.clone());
        let Some(mut client) = tool.start(server.port(), &ca, &paper, input) else { continue };
        if stays {
            client.type_in(&sent);
            client.wait_to_have(sent.len());
            client.signal(libc::SIGKILL);
        }
        let run = client.wait();
        assert!(run.stdout == sent, "{}: {} back, {}", tool.program, run.stdout.len(), run.stderr);
        // Who leaves without a goodbye has cut the stream.
        let code = if matches!(tool.program, "ncat" | "openssl") { 18 } else { 0 };
        server.wait().exits(code);
    }
}

#[test]
fn our_client_gets_every_byte_back_from_their_servers() {
    let authority = Authority::new();
    let (ca, paper) = (authority.ca(), authority.paper(&["localhost"]));
    for tool in SERVERS {
        let port = peer::free_port();
        let Some(_server) = tool.start(port, &ca, &paper, None) else { continue };
        peer::wait_for_listener(port);
        let sent = bytes(16 << 20);
        let at: SocketAddr = ([127, 0, 0, 1], port).into();
        let client = sockit("tcp-client --tls --server-name localhost --ca-file").arg(&ca);
        let run = client.to(at).stdin(&sent).limit(LIMIT * 3).run();
        let told = format!("{}: {} back, {}", tool.program, run.stdout.len(), run.stderr);
        assert!(run.code == 0 && run.stdout == sent, "{told}");
    }
}

#[test]
fn ncats_child_answers_behind_tls() {
    let authority = Authority::new();
    let (ca, paper) = (authority.ca(), authority.paper(&["localhost"]));
    let port = peer::free_port();
    let Some(_server) = NCAT.start(port, &ca, &paper, None) else { return };
    peer::wait_for_listener(port);
    let client = sockit("tcp-client --tls --server-name localhost --send hello --ca-file").arg(&ca);
    let run = client.and("--expect hello").arg("127.0.0.1").arg(port.to_string()).run();
    run.prints("hello\n");
    assert!(run.code == 0 || run.code == 18, "{run:?}");
}

#[test]
fn sixty_four_mebibytes_both_ways_at_once() {
    let authority = Authority::new();
    let paper = authority.paper(&["localhost"]);
    let server = sockit("tcp-server --service echo --once --tls --cert").arg(&paper).serve();
    let sent = bytes(64 << 20);
    let client = sockit("tcp-client --tls localhost").arg(server.port().to_string());
    let run = client.and("--ca-file").arg(authority.ca()).stdin(&sent).limit(LIMIT * 5).run();
    run.exits(0);
    assert!(run.stdout == sent);
    server.wait().exits(0);
}

#[test]
fn openssl_serves_us_in_both_versions() {
    let authority = Authority::new();
    let (ca, paper) = (authority.ca(), authority.paper(&["localhost"]));
    for (flag, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let Some(mut openssl) = peer::program("openssl") else { return };
        let port = peer::free_port();
        openssl.args(["s_server", "-quiet", "-naccept", "1", flag, "-rev", "-accept"]);
        openssl.arg(format!("127.0.0.1:{port}")).arg("-cert").arg(&paper).arg("-key").arg(&paper);
        openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let server = Running::start(openssl, None, LIMIT);
        peer::wait_for_listener(port);
        let client = sockit("tcp-client -v --tls localhost").arg(port.to_string());
        let run = client.and("--send 'abc\\n' --ca-file").arg(&ca).run();
        run.says(version);
        assert!(run.text().starts_with("cba"), "{run:?}");
        drop(server);
    }
}

#[test]
fn openssl_made_certificates_are_read() {
    let Some(mut openssl) = peer::program("openssl") else { return };
    let authority = Authority::new();
    let (cert, key) = (authority.file("c.pem"), authority.file("k.pem"));
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    openssl.arg("-out").arg(&cert).arg("-keyout").arg(&key);
    openssl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    assert_eq!(Running::start(openssl, None, LIMIT).wait().code, 0);
    let server = sockit("tcp-server --service echo --once --tls --cert").arg(&cert).and("--key");
    let server = server.arg(&key).serve();
    let client = sockit("tcp-client --tls localhost").arg(server.port().to_string());
    client.and("--ca-file").arg(&cert).stdin("hello").run().exits(0).prints("hello");
    server.wait().exits(0);
}

/// Sends half of it, then lets the connection go without a goodbye, or right after it.
const PYTHON_CUTS: &str = "
import socket, ssl, sys, struct
paper, how = sys.argv[1], sys.argv[2]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(paper)
server = socket.create_server(('127.0.0.1', 0))
print(server.getsockname()[1], flush=True)
stream, _ = server.accept()
stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
stream = context.wrap_socket(stream, server_side=True)
stream.sendall(b'half of it')
while stream.recv(4): pass
if how == 'goodbye':
    stream.sendall(b' and the rest')
    stream.unwrap()
bare = socket.socket(fileno=stream.detach())
if how != 'fin':
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
bare.close()
";

/// What our client makes of a Python server that leaves in this way.
fn left(how: &str) -> Option<Run> {
    let authority = Authority::new();
    let (ca, paper) = (authority.ca(), authority.paper(&["localhost"]));
    let mut python = peer::program("python3")?;
    python.args(["-c", PYTHON_CUTS]).arg(&paper).arg(how);
    python.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let server = Running::start(python, None, LIMIT);
    server.wait_to_print("\n");
    let port = String::from_utf8_lossy(&server.stdout.bytes()).trim().to_string();
    let client = sockit("tcp-client --tls localhost").arg(port);
    Some(client.and("--ca-file").arg(&ca).stdin("ping").run())
}

#[test]
fn a_fin_or_reset_without_goodbye_is_18() {
    for how in ["fin", "reset"] {
        let Some(run) = left(how) else { return };
        run.exits(18).prints("half of it").fails_at("receive");
        assert!(run.took < Duration::from_secs(10));
    }
}

/// Both have said goodbye, and everything came: what the connection comes to afterwards is nobody's
/// loss.
#[test]
fn a_reset_behind_both_goodbyes_is_none() {
    for _ in 0..5 {
        let Some(run) = left("goodbye") else { return };
        run.exits(0).prints("half of it and the rest").is_silent();
    }
}
