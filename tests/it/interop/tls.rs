//! openssl, ncat, socat and Python as TLS peers, in both roles.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::support::certificates::Authority;
use crate::support::peer;
use crate::support::process::Process;
use crate::support::sockit::{LIMIT, Run, sockit};

/// The command line of a peer; `{port}`, `{ca}` and `{certificate}` are replaced.
struct Tool {
    program: &'static str,
    args: &'static [&'static str],
}

/// Sends stdin, half-closes, and prints what it reads until close_notify.
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

/// Echoes one client to its end.
const PYTHON_ECHO: &str = "
import socket, ssl, sys
port, cert = int(sys.argv[1]), sys.argv[2]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert)
stream, _ = socket.create_server(('127.0.0.1', port)).accept()
stream = context.wrap_socket(stream, server_side=True)
while piece := stream.recv(65536):
    stream.sendall(piece)
stream.unwrap()
";

/// Clients that send stdin and print what they read.
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

/// Servers that echo one client to its end.
const SERVERS: [Tool; 2] = [
    Tool { program: "python3", args: &["-c", PYTHON_ECHO, "{port}", "{certificate}"] },
    Tool {
        program: "socat",
        args: &[
            "-t20",
            "OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,cert={certificate},verify=0",
            "EXEC:/bin/cat",
        ],
    },
];

/// A server that echoes until close_notify and sends none itself.
const NCAT: Tool = Tool {
    program: "ncat",
    args: &[
        "--ssl",
        "--ssl-cert",
        "{certificate}",
        "--ssl-key",
        "{certificate}",
        "-l",
        "127.0.0.1",
        "{port}",
        "-e",
        "/bin/cat",
    ],
};

impl Tool {
    fn start(
        &self,
        port: u16,
        [ca, certificate]: [&Path; 2],
        input: Option<Vec<u8>>,
    ) -> Option<Process> {
        let mut command = peer::program(self.program)?;
        let [ca, certificate] = [ca, certificate].map(|path| path.to_str().expect("UTF-8"));
        command.args(self.args.iter().map(|arg| {
            arg.replace("{port}", &port.to_string())
                .replace("{ca}", ca)
                .replace("{certificate}", certificate)
        }));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Some(Process::start(command, input, LIMIT * 3))
    }
}

fn bytes(size: usize) -> Vec<u8> {
    (0..=250).cycle().take(size).collect()
}

#[test]
fn tls_client_gets_every_byte_from_echo() {
    let authority = Authority::new();
    let (ca, certificate) = (authority.ca(), authority.certificate(&["localhost"]));
    for tool in CLIENTS {
        let server =
            sockit("tcp-server --service echo --once --tls --cert").arg(&certificate).serve();
        let sent = bytes(16 << 20);
        // openssl never exits by itself.
        let stays = tool.program == "openssl";
        let input = (!stays).then(|| sent.clone());
        let Some(mut client) = tool.start(server.port(), [&ca, &certificate], input) else {
            continue;
        };
        if stays {
            client.write_stdin(&sent);
            client.wait_for_output_len(sent.len());
            client.signal(libc::SIGKILL);
        }
        let run = client.wait();
        assert!(run.stdout == sent, "{}: {} back, {}", tool.program, run.stdout.len(), run.stderr);
        // A stream without close_notify is truncated.
        let code = if matches!(tool.program, "ncat" | "openssl") { 18 } else { 0 };
        server.wait().exits(code);
    }
}

#[test]
fn tcp_client_gets_every_byte_from_tls_server() {
    let authority = Authority::new();
    let (ca, certificate) = (authority.ca(), authority.certificate(&["localhost"]));
    for tool in SERVERS {
        let port = peer::free_port();
        let Some(_server) = tool.start(port, [&ca, &certificate], None) else { continue };
        peer::wait_for_listener(port);
        let sent = bytes(16 << 20);
        let at: SocketAddr = ([127, 0, 0, 1], port).into();
        let client = sockit("tcp-client --tls --server-name localhost --ca-file").arg(&ca);
        let run = client.to(at).stdin(&sent).limit(LIMIT * 3).run();
        let detail = format!("{}: {} back, {}", tool.program, run.stdout.len(), run.stderr);
        assert!(run.code == 0 && run.stdout == sent, "{detail}");
    }
}

#[test]
fn ncat_child_answers_over_tls() {
    let authority = Authority::new();
    let (ca, certificate) = (authority.ca(), authority.certificate(&["localhost"]));
    let port = peer::free_port();
    let Some(_server) = NCAT.start(port, [&ca, &certificate], None) else { return };
    peer::wait_for_listener(port);
    let client = sockit("tcp-client --tls --server-name localhost --send hello --ca-file").arg(&ca);
    let run = client.and("--expect hello").arg("127.0.0.1").arg(port.to_string()).run();
    run.prints("hello\n");
    assert!(run.code == 0 || run.code == 18, "{run:?}");
}

/// ncat ends without close_notify, which is 18, but only after all data.
#[test]
fn null_stdin_gets_the_complete_file_from_tls_server() {
    let authority = Authority::new();
    let (ca, certificate) = (authority.ca(), authority.certificate(&["localhost"]));
    let openssl = Tool {
        program: "openssl",
        args: &[
            "s_server",
            "-quiet",
            "-naccept",
            "1",
            "-accept",
            "127.0.0.1:{port}",
            "-cert",
            "{certificate}",
            "-key",
            "{certificate}",
        ],
    };
    let ncat = Tool {
        program: "ncat",
        args: &[
            "--ssl",
            "--ssl-cert",
            "{certificate}",
            "--ssl-key",
            "{certificate}",
            "-l",
            "127.0.0.1",
            "{port}",
        ],
    };
    for (tool, code) in [(openssl, 0), (ncat, 18)] {
        let (port, file) = (peer::free_port(), bytes(3 << 20));
        let Some(mut server) = tool.start(port, [&ca, &certificate], None) else { continue };
        peer::wait_for_listener(port);
        let at: SocketAddr = ([127, 0, 0, 1], port).into();
        let client = sockit("tcp-client --tls --server-name localhost --ca-file").arg(&ca);
        let client = client.to(at).and("-v").start();
        // s_server stops at its first record if its stdin is readable before the handshake.
        client.wait_for_log("Connected to");
        server.write_stdin(&file);
        server.close_stdin();
        let run = client.wait();
        let came = run.stdout.len();
        assert!(run.stdout == file, "{}: {came} bytes, {}", tool.program, run.stderr);
        run.exits(code);
    }
}

#[test]
fn sixty_four_mebibytes_pass_in_both_directions() {
    let authority = Authority::new();
    let certificate = authority.certificate(&["localhost"]);
    let server = sockit("tcp-server --service echo --once --tls --cert").arg(&certificate).serve();
    let sent = bytes(64 << 20);
    let client = sockit("tcp-client --tls localhost").arg(server.port().to_string());
    let run = client.and("--ca-file").arg(authority.ca()).stdin(&sent).limit(LIMIT * 5).run();
    run.exits(0);
    assert!(run.stdout == sent);
    server.wait().exits(0);
}

#[test]
fn openssl_server_negotiates_both_versions() {
    let authority = Authority::new();
    let (ca, certificate) = (authority.ca(), authority.certificate(&["localhost"]));
    for (flag, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let Some(mut openssl) = peer::program("openssl") else { return };
        let port = peer::free_port();
        openssl.args(["s_server", "-quiet", "-naccept", "1", flag, "-rev", "-accept"]);
        openssl
            .arg(format!("127.0.0.1:{port}"))
            .arg("-cert")
            .arg(&certificate)
            .arg("-key")
            .arg(&certificate);
        openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let server = Process::start(openssl, None, LIMIT);
        peer::wait_for_listener(port);
        let client = sockit("tcp-client -v --tls localhost").arg(port.to_string());
        let run = client.and("--send 'abc\\n' --ca-file").arg(&ca).run();
        run.logs(version);
        assert!(run.text().starts_with("cba"), "{run:?}");
        drop(server);
    }
}

/// A certificate that `openssl req` makes with these arguments, with its key beside it.
fn openssl_certificate(authority: &Authority, words: &[&str]) -> Option<std::path::PathBuf> {
    let mut openssl = peer::program("openssl")?;
    let certificate = authority.file(&format!("openssl-{}.pem", words.len()));
    openssl.args(["req", "-newkey", "rsa:2048", "-nodes", "-days", "2"]).args(words);
    openssl.arg("-out").arg(&certificate).arg("-keyout").arg(certificate.with_extension("key"));
    openssl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    assert_eq!(Process::start(openssl, None, LIMIT).wait().code, 0);
    Some(certificate)
}

/// An OpenSSL server with this certificate for any number of clients.
fn openssl_server(certificate: &Path) -> Option<(Process, u16)> {
    let mut openssl = peer::program("openssl")?;
    let port = peer::free_port();
    openssl.args(["s_server", "-cipher", "DEFAULT@SECLEVEL=0", "-quiet", "-www", "-accept"]);
    openssl.arg(format!("127.0.0.1:{port}"));
    openssl.arg("-cert").arg(certificate).arg("-key").arg(certificate.with_extension("key"));
    openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let server = Process::start(openssl, None, LIMIT);
    peer::wait_for_listener(port);
    Some((server, port))
}

/// The fingerprint of a certificate, printed by OpenSSL.
fn openssl_fingerprint(certificate: &Path) -> String {
    let mut openssl = peer::program("openssl").expect("it was there before");
    openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(certificate);
    openssl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let print = Process::start(openssl, None, LIMIT).wait().text();
    print.trim().rsplit('=').next().expect("a fingerprint").to_string()
}

#[test]
fn openssl_certificates_are_read() {
    let authority = Authority::new();
    let names = "subjectAltName=DNS:localhost";
    let words = ["-x509", "-subj", "/CN=localhost", "-addext", names];
    let Some(cert) = openssl_certificate(&authority, &words) else { return };
    let server = sockit("tcp-server --service echo --once --tls --cert").arg(&cert).and("--key");
    let server = server.arg(cert.with_extension("key")).serve();
    let client = sockit("tcp-client --tls localhost").arg(server.port().to_string());
    client.and("--ca-file").arg(&cert).stdin("hello").run().exits(0).prints("hello");
    server.wait().exits(0);
}

#[test]
fn openssl_self_signed_certificate_is_trusted_only_when_given() {
    let authority = Authority::new();
    let names = "subjectAltName=DNS:localhost";
    // With an alternative name, and with the common name only, as most recipes make it.
    for words in [
        &["-x509", "-subj", "/CN=localhost", "-addext", names][..],
        &["-x509", "-subj", "/CN=localhost"],
    ] {
        let Some(certificate) = openssl_certificate(&authority, words) else { return };
        let Some((_server, port)) = openssl_server(&certificate) else { return };
        let print = openssl_fingerprint(&certificate);
        let hello = |host: &str| {
            let client = sockit("tcp-client --tls").arg(host).arg(port.to_string());
            client.stdin("GET / HTTP/1.0\r\n\r\n")
        };
        let plain = hello("localhost").run();
        plain.exits(60).fails_at("tls").logs("self-signed certificate (CN=localhost)");
        plain.logs("--ca-file").logs(&print.replace(':', "").to_lowercase()).never_logs("Error(");
        for trust in ["--ca-file", "--pin"] {
            let value = if trust == "--pin" { print.clone().into() } else { certificate.clone() };
            hello("localhost").arg(trust).arg(value).run().exits(0);
        }
        hello("127.0.0.1").arg("--ca-file").arg(&certificate).run().exits(60).logs("wrong name");
        let other = authority.certificate(&["localhost"]);
        let stranger = hello("localhost").arg("--ca-file").arg(other).run();
        stranger.exits(60).fails_at("tls").logs("self-signed").never_logs("Error(");
    }
}

#[test]
fn short_rsa_key_is_the_reason_with_insecure_too() {
    let authority = Authority::new();
    let words = ["-x509", "-subj", "/CN=localhost", "-newkey", "rsa:1024"];
    let Some(certificate) = openssl_certificate(&authority, &words) else { return };
    let Some((_server, port)) = openssl_server(&certificate) else { return };
    let run = sockit("tcp-client --tls --insecure localhost").arg(port.to_string()).run();
    run.exits(60).fails_at("tls").logs("RSA below 2048 bits").never_logs("--ca-file FILE");
}

#[test]
fn certificate_of_version_1_exits_60() {
    let authority = Authority::new();
    let Some(request) = openssl_certificate(&authority, &["-subj", "/CN=localhost"]) else {
        return;
    };
    let certificate = request.with_file_name("version-1.pem");
    std::fs::copy(request.with_extension("key"), certificate.with_extension("key")).expect("a key");
    let Some(mut openssl) = peer::program("openssl") else { return };
    openssl.args(["x509", "-req", "-days", "2", "-in"]).arg(&request).arg("-signkey");
    openssl.arg(request.with_extension("key")).arg("-out").arg(&certificate);
    openssl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    assert_eq!(Process::start(openssl, None, LIMIT).wait().code, 0);
    let ours = sockit("tcp-server --tls --cert").arg(&certificate).and("--key");
    let ours = ours.arg(certificate.with_extension("key")).run();
    ours.exits(26).fails_at("file").logs("X.509 version 1").never_logs("Error(");
    let Some((_server, port)) = openssl_server(&certificate) else { return };
    let print = openssl_fingerprint(&certificate);
    let ca = certificate.display().to_string();
    for trust in [&["--ca-file", &ca][..], &["--pin", &print], &["--insecure"], &[]] {
        let mut client = sockit("tcp-client --tls localhost").arg(port.to_string());
        for word in trust {
            client = client.arg(word);
        }
        let run = client.run();
        run.exits(60).fails_at("tls").logs("X.509 version 1").never_logs("Error(");
    }
}

#[test]
fn tls_failure_is_logged_in_words() {
    let authority = Authority::new();
    let server = sockit("tcp-server --service echo --tls --client-ca").arg(authority.ca()).serve();
    let Some(mut openssl) = peer::program("openssl") else { return };
    let stranger = Authority::new();
    openssl.args(["s_client", "-quiet", "-connect", &server.addr().to_string(), "-cert"]);
    openssl
        .arg(stranger.certificate(&["client"]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    drop(Process::start(openssl, None, LIMIT).wait());
    server.wait_for_log("not accepted: it is signed by another key than its issuer's");
    let Some(mut openssl) = peer::program("openssl") else { return };
    openssl.args(["s_client", "-quiet", "-tls1_2", "-cipher", "AES128-SHA", "-connect"]);
    openssl.arg(server.addr().to_string());
    openssl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    drop(Process::start(openssl, None, LIMIT).wait());
    server.wait_for_log("the peer is incompatible: no ");
}

/// Sends half of it, then closes without close_notify, or resets after it.
const PYTHON_CUTS: &str = "
import socket, ssl, sys, struct
cert, how = sys.argv[1], sys.argv[2]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert)
server = socket.create_server(('127.0.0.1', 0))
print(server.getsockname()[1], flush=True)
stream, _ = server.accept()
stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
stream = context.wrap_socket(stream, server_side=True)
stream.sendall(b'half of it')
while stream.recv(4): pass
if how == 'notify':
    stream.sendall(b' and the rest')
    stream.unwrap()
bare = socket.socket(fileno=stream.detach())
if how != 'fin':
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
bare.close()
";

/// Runs tcp-client against a Python server that ends in this way.
fn run_against(how: &str) -> Option<Run> {
    let authority = Authority::new();
    let (ca, certificate) = (authority.ca(), authority.certificate(&["localhost"]));
    let mut python = peer::program("python3")?;
    python.args(["-c", PYTHON_CUTS]).arg(&certificate).arg(how);
    python.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let server = Process::start(python, None, LIMIT);
    server.wait_for_output("\n");
    let port = String::from_utf8_lossy(&server.stdout.bytes()).trim().to_string();
    let client = sockit("tcp-client --tls localhost").arg(port);
    Some(client.and("--ca-file").arg(&ca).stdin("ping").run())
}

#[test]
fn fin_or_reset_without_close_notify_exits_18() {
    for how in ["fin", "reset"] {
        let Some(run) = run_against(how) else { return };
        run.exits(18).prints("half of it").fails_at("receive");
        assert!(run.took < Duration::from_secs(30));
    }
}

/// After both close_notify all data has arrived: a later reset is no error.
#[test]
fn reset_after_both_close_notify_exits_0() {
    for _ in 0..5 {
        let Some(run) = run_against("notify") else { return };
        run.exits(0).prints("half of it and the rest").logs_nothing();
    }
}

/// Ends with a FIN without close_notify at the end of its stdin, and prints what it still reads.
const NCAT_CLIENT: Tool = Tool { program: "ncat", args: &["--ssl", "127.0.0.1", "{port}"] };

#[test]
fn end_without_close_notify_still_gets_the_answer() {
    let authority = Authority::new();
    let (ca, certificate) = (authority.ca(), authority.certificate(&["localhost"]));
    for (flags, code) in [("", 18), ("--allow-truncation", 0)] {
        for (service, answer) in [
            ("--sh 'wc -c'", "3\n"),
            ("--reply '<{message}>' --framing line --delay 50ms", "<a><b>"),
        ] {
            let server = sockit("tcp-server --once --tls --cert").arg(&certificate).and(flags);
            let server = server.and(service).serve();
            let input = Some(b"a\nb".to_vec());
            let Some(client) = NCAT_CLIENT.start(server.port(), [&ca, &certificate], input) else {
                return;
            };
            let run = client.wait();
            assert_eq!(run.text().replace('\n', ""), answer.replace('\n', ""), "{run:?}");
            server.wait().exits(code);
        }
    }
}

#[test]
fn saved_file_without_close_notify_is_a_part_unless_allowed() {
    let authority = Authority::new();
    let (ca, certificate) = (authority.ca(), authority.certificate(&["localhost"]));
    for (flags, code, is_part) in [("", 18, true), ("--allow-truncation", 0, false)] {
        let dir = tempfile::tempdir().unwrap();
        let server = sockit("tcp-server --once --tls --cert").arg(&certificate).and(flags);
        let server = server.arg("--save").arg(dir.path()).serve();
        let input = Some(bytes(100_000));
        let Some(client) = NCAT_CLIENT.start(server.port(), [&ca, &certificate], input) else {
            return;
        };
        client.wait();
        server.wait().exits(code);
        let saved = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        assert_eq!(saved.extension().is_some_and(|end| end == "part"), is_part, "{saved:?}");
        assert!(fs::read(saved).unwrap() == bytes(100_000));
    }
}

/// Sends an answer and a FIN without close_notify, and prints what it reads up to close_notify.
const PYTHON_BARE_FIN: &str = "
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server = socket.create_server(('127.0.0.1', 0))
print(server.getsockname()[1], flush=True)
stream, _ = server.accept()
came, go = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(came, go, server_side=True)
def call(step):
    while True:
        try: return step()
        except ssl.SSLWantReadError:
            if go.pending: stream.sendall(go.read())
            piece = stream.recv(65536)
            came.write(piece) if piece else came.write_eof()
call(tls.do_handshake)
tls.write(b'answer')
stream.sendall(go.read())
stream.shutdown(socket.SHUT_WR)
while piece := call(lambda: tls.read(65536)):
    print(piece.decode(), flush=True)
print('close_notify', flush=True)
";

#[test]
fn server_ending_without_close_notify_still_gets_the_input() {
    let authority = Authority::new();
    let (ca, certificate) = (authority.ca(), authority.certificate(&["localhost"]));
    for (flags, code) in [("", 18), ("--allow-truncation", 0)] {
        let Some(mut python) = peer::program("python3") else { return };
        python.args(["-c", PYTHON_BARE_FIN]).arg(&certificate);
        python.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let server = Process::start(python, None, LIMIT);
        server.wait_for_output("\n");
        let port = String::from_utf8_lossy(&server.stdout.bytes()).trim().to_string();
        let client = sockit("tcp-client -v --tls localhost").arg(port).and(flags);
        let mut client = client.arg("--ca-file").arg(&ca).stdin_open().start();
        client.wait_for_log("the peer sends no more");
        client.write_stdin("our input");
        client.close_stdin();
        client.wait().exits(code).prints("answer");
        let run = server.wait();
        assert!(run.text().ends_with("\nour input\nclose_notify\n"), "{run:?}");
    }
}
