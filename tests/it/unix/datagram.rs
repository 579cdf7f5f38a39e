//! `unix-server --datagram` and `unix-client --datagram`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::{TempDir, tempdir};

use crate::support::peer;
use crate::support::process::{Daemon, Process};
use crate::support::sockit::{LIMIT, Sockit, sockit};

fn folder() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("socket");
    (folder, path)
}

fn server(flags: &str, path: &Path) -> Daemon {
    sockit("unix-server --datagram").and(flags).arg(path).serve()
}

fn client(path: &Path) -> Sockit {
    sockit("unix-client --datagram --wait 10s").arg(path)
}

#[test]
fn each_service_answers_a_named_client() {
    let (_folder, path) = folder();
    for (flags, answer) in [
        ("", "Hello, you!\n"),
        ("--service echo", "you\n"),
        ("--reply 'Your msg={message}'", "Your msg=you\n"),
    ] {
        let server = server(flags, &path);
        client(&path).and("--send you").run().exits(0).prints(answer);
        client(&path).stdin("you\nyou").run().exits(0).prints(answer.repeat(2));
        server.stop().exits(0);
        assert!(!path.exists(), "its socket file is removed");
    }
}

#[test]
fn datagram_of_an_unnamed_peer_is_counted_as_nowhere() {
    let (_folder, path) = folder();
    let server = server("--service echo --json", &path);
    UnixDatagram::unbound().unwrap().send_to(b"who am I", &path).unwrap();
    client(&path).and("--send last").run().exits(0);
    let run = server.stop();
    let totals = &run.exits(0).events_named("totals")[0];
    assert_eq!((&totals["datagrams_in"], &totals["dropped"]["nowhere"]), (&2.into(), &1.into()));
}

#[test]
fn long_and_many_datagrams_are_echoed() {
    let (_folder, path) = folder();
    let server = server("--service echo", &path);
    let long = "z".repeat(60_000);
    client(&path).stdin(&long).run().exits(0).prints(format!("{long}\n"));
    let many: String = (0..200).map(|n| format!("{n}\n")).collect();
    client(&path).stdin(&many).run().exits(0).prints(&many);
    server.stop().exits(0);
}

#[test]
fn stale_socket_is_replaced_and_other_files_are_kept() {
    let (_folder, path) = folder();
    drop(UnixDatagram::bind(&path).unwrap());
    server("", &path).stop().exits(0);
    let live = UnixDatagram::bind(&path).unwrap();
    let run = || sockit("unix-server --datagram").arg(&path).run();
    run().exits(45).fails_at("bind");
    drop(live);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    run().exits(45).fails_at("bind");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn missing_server_exits_7() {
    let (_folder, path) = folder();
    client(&path).and("--send x").run().exits(7).fails_at("connect");
    drop(UnixDatagram::bind(&path).unwrap());
    client(&path).and("--send x").run().exits(7).logs("refused");
}

#[test]
fn send_only_exits_without_waiting_for_a_reply() {
    let (_folder, path) = folder();
    let silent = UnixDatagram::bind(&path).unwrap();
    silent.set_read_timeout(Some(crate::support::sockit::LIMIT)).unwrap();
    sockit("unix-client --datagram --send-only --timeout 5s").arg(&path).stdin("x").run().exits(0);
    assert_eq!(silent.recv(&mut [0; 8]).unwrap(), 1);
}

#[test]
fn flags_of_streams_are_usage_errors() {
    let (_folder, path) = folder();
    let flags = [
        "--service chargen",
        "--greeting hi",
        "--reply x --until y",
        "--messages 2",
        "--framing line",
        "--service pipe --delay 1s",
        "--max-conns 3",
        "--allow 127.0.0.1",
        "--idle-timeout 1s",
    ];
    for flags in flags {
        let run = sockit("unix-server --datagram").and(flags).arg(&path).run();
        run.exits(2);
        assert!(!path.exists(), "{flags}");
    }
    for flags in ["--send a --expect b", "--idle-timeout 1s", "--keep-empty", "--size 9"] {
        client(&path).and(flags).run().exits(2);
    }
    for flags in ["--wait 1s", "--size 10 --input /dev/null"] {
        sockit("unix-client").and(flags).arg(&path).run().exits(2);
    }
}

#[test]
fn delay_applies_to_client_and_server() {
    let (_folder, path) = folder();
    let server = server("--delay 200ms", &path);
    let run = client(&path).and("--send you --delay 200ms").run();
    run.exits(0).prints("Hello, you!\n");
    assert!(run.took >= Duration::from_millis(400), "{:?}", run.took);
    server.stop().exits(0);
}

#[test]
fn accept_timeout_exits_28() {
    let (_folder, path) = folder();
    server("--accept-timeout 50ms", &path).wait().exits(28).fails_at("listen");
    assert!(!path.exists());
}

#[test]
fn retry_waits_for_the_server() {
    for (ours, theirs, answer) in [
        ("unix-client --datagram --wait 10s", "unix-server --datagram", "Hello, you!\n"),
        ("unix-client", "unix-server", "Welcome!\nHello, you!\n"),
    ] {
        let (_folder, path) = folder();
        let retry = "-v --send you --retry 100 --retry-delay 50ms";
        let client = sockit(ours).and(retry).arg(&path).start();
        client.wait_for_log("Trying again in 50ms (retry 2)");
        let server = sockit(theirs).arg(&path).serve();
        client.wait().exits(0).prints(answer);
        server.stop().exits(0);
        let gone = sockit(ours).and("--send you --retry 1 --retry-delay 20ms").arg(&path).run();
        gone.exits(7).fails_at("connect");
    }
}

fn python(program: &str, words: &[&str]) -> Option<Command> {
    let mut python = peer::program("python3")?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tutorials");
    python.arg(folder.join(program)).args(words);
    python.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(python)
}

#[test]
fn python_socketserver_of_each_type_serves_the_client() {
    for kind in ["udp", "unix", "unix-datagram"] {
        let (_folder, path) = folder();
        let address = if kind == "udp" { "0" } else { path.to_str().unwrap() };
        let Some(theirs) = python("class_kinds_server.py", &[kind, address]) else { return };
        let theirs = Process::start(theirs, Some(Vec::new()), LIMIT);
        theirs.wait_for_output("\n");
        let output = String::from_utf8(theirs.stdout.bytes()).unwrap();
        let ours = match kind {
            "udp" => {
                sockit(&format!("udp-client 127.0.0.1:{}", output.trim().replace("port ", "")))
            }
            "unix" => sockit("unix-client -q").arg(&path),
            _ => client(&path),
        };
        let run = ours.and("--send one --send two").run();
        run.exits(0).prints("Your msg=one\nYour msg=two\n");
    }
}

#[test]
fn python_client_of_each_type_is_served() {
    for kind in ["udp", "unix", "unix-datagram"] {
        let (folder, path) = folder();
        let line = "--reply 'Your msg={message}'";
        let (server, address) = match kind {
            "udp" => {
                let server = sockit("udp-server").and(line).serve();
                let port = server.port().to_string();
                (server, port)
            }
            "unix" => {
                let server = sockit("unix-server").and(line).arg(&path).serve();
                (server, path.to_str().unwrap().to_string())
            }
            _ => (server(line, &path), path.to_str().unwrap().to_string()),
        };
        let own = folder.path().join("own");
        let words = [kind, &address, own.to_str().unwrap(), "one", "two"];
        let Some(theirs) = python("class_kinds_client.py", &words) else { return };
        let run = Process::start(theirs, Some(Vec::new()), LIMIT).wait();
        run.exits(0).prints("Your msg=one\nYour msg=two\n");
        server.stop().exits(0);
    }
}

#[test]
fn nc_and_socat_are_served() {
    let Some(mut socat) = peer::program("socat") else { return };
    let (folder, path) = folder();
    let server = server("", &path);
    let own = folder.path().join("own");
    let target = format!("UNIX-SENDTO:{},bind={}", path.display(), own.display());
    socat.args(["-t2", "STDIO", &target]);
    socat.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut socat = Process::start(socat, None, LIMIT);
    socat.write_stdin("you\n");
    socat.wait_for_output("Hello, you!\n");
    drop(socat);

    let Some(mut nc) = peer::program("nc.openbsd") else { return };
    nc.args(["-u", "-U"]).arg(&path);
    nc.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut nc = Process::start(nc, None, LIMIT);
    nc.write_stdin("nc\n");
    nc.wait_for_output("Hello, nc!\n");
    drop(nc);
    server.stop().exits(0);
}

#[test]
fn abstract_name_needs_no_file() {
    let name = format!("@sockit-test-{}", std::process::id());
    let server = sockit("unix-server --datagram").arg(&name).serve();
    assert_eq!(server.local(), name);
    let run = sockit("unix-client --datagram --send you").arg(&name).run();
    run.exits(0).prints("Hello, you!\n");
    server.stop().exits(0);
}

#[test]
fn abstract_name_may_have_107_bytes() {
    let name = format!("@{}{}", std::process::id(), "n".repeat(107));
    let name = Path::new(&name[..108]);
    let server = server("--service echo", name);
    client(name).and("--send you").run().exits(0).prints("you\n");
    server.stop().exits(0);
    let long = format!("@{}", "n".repeat(108));
    sockit("unix-server --datagram").arg(&long).run().exits(45).logs("the name is too long");
}

#[test]
fn socket_that_cannot_be_removed_is_logged() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can change the user");
        return;
    }
    for (mode, flags) in [(0o755, ""), (0o755, "--datagram"), (0o700, "--datagram")] {
        let (folder, path) = folder();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        let server = sockit("unix-server --user nobody").and(flags).arg(&path).serve();
        server.stop().exits(0).logs("cannot remove the socket");
        assert!(path.exists());
    }
}
