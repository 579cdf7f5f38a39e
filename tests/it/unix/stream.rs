//! `unix-server` and `unix-client`: the services of TCP on a path, which never replaces a foreign
//! file.

use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;

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
    sockit("unix-server").and(flags).arg(path).serve()
}

fn client(flags: &str, path: &Path) -> Sockit {
    sockit("unix-client").and(flags).arg(path)
}

#[test]
fn each_service_answers_as_over_tcp() {
    let (folder, path) = folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "content").unwrap();
    let file = format!("--file {}", file.display());
    for (flags, input, answer) in [
        ("", "you", "Welcome!Hello, you!"),
        ("--service echo", "a\0b", "a\0b"),
        ("--service ack", "you", "已接收到数据 you"),
        ("--reply 'Your msg={message}'", "x\ny\n", "Your msg=x\nYour msg=y\n"),
        ("--greeting 'hi ' --reply '{n} ' --messages 2", "x\ny\nz\n", "hi 1 \n2 \n"),
        ("--service discard", "x", ""),
        ("--sh 'cat; echo .'", "x", "x.\n"),
        (file.as_str(), "", "content"),
    ] {
        let server = server(flags, &path);
        client("", &path).stdin(input).run().exits(0).prints(answer);
        server.stop().exits(0);
        assert!(!path.exists(), "its socket file is removed: {flags}");
    }
}

#[test]
fn pipe_connects_both_ends() {
    let (_folder, path) = folder();
    let mut server = sockit("unix-server --service pipe --once").arg(&path).stdin_open().serve();
    server.write_stdin("from the server");
    server.close_stdin();
    client("", &path).stdin("from the client").run().exits(0).prints("from the server");
    server.wait().exits(0).prints("from the client");
}

#[test]
fn events_have_the_credentials_of_the_peer() {
    let (_folder, path) = folder();
    let server = server("--json --once", &path);
    let run = client("--json --send you --send exit", &path).run();
    let connected = &run.exits(0).events_named("connected")[0];
    assert_eq!(connected["peer"], path.to_str().unwrap());
    assert_eq!(connected["pid"].as_u64(), Some(u64::from(server.pid())));
    let run = server.wait();
    let accepted = &run.exits(0).events_named("accepted")[0];
    assert_eq!(accepted["uid"].as_u64(), Some(u64::from(rustix::process::getuid().as_raw())));
    let closed = &run.events_named("closed")[0];
    assert_eq!((&closed["bytes_in"], &closed["bytes_out"]), (&7.into(), &19.into()));
    assert_eq!(closed["ended_by"], "us");
}

#[test]
fn file_at_the_path_is_kept() {
    let (folder, path) = folder();
    let refused = || sockit("unix-server").arg(&path).run();
    std::fs::write(&path, "precious").unwrap();
    refused().exits(45).fails_at("bind");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    std::fs::remove_file(&path).unwrap();

    std::fs::create_dir(&path).unwrap();
    refused().exits(45).fails_at("bind");
    std::fs::remove_dir(&path).unwrap();

    // A symbolic link is kept, whether its target is missing or a stale socket.
    for target in ["nothing", "stale"] {
        drop(UnixListener::bind(folder.path().join("stale")));
        symlink(folder.path().join(target), &path).unwrap();
        refused().exits(45).fails_at("bind");
        assert!(path.symlink_metadata().unwrap().is_symlink());
        std::fs::remove_file(&path).unwrap();
    }

    let live = UnixListener::bind(&path).unwrap();
    refused().exits(45).fails_at("bind").logs("live");
    drop(live);
    server("", &path).stop().exits(0);
}

#[test]
fn socket_file_is_removed_unless_replaced() {
    let (_folder, path) = folder();
    let first = server("", &path);
    std::fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    first.stop().exits(0);
    assert!(path.exists(), "the other file is kept");
    drop(other);
    // A child that another test starts holds a copy of the listener for a moment.
    let until = std::time::Instant::now() + LIMIT;
    while UnixStream::connect(&path).is_ok() && std::time::Instant::now() < until {
        std::thread::yield_now();
    }
    let killed = server("", &path);
    killed.signal(libc::SIGKILL);
    killed.wait();
    assert!(path.exists(), "a killed server cannot remove it");
    let last = server("", &path);
    last.signal(libc::SIGINT);
    last.wait().exits(130);
    assert!(!path.exists());
}

#[test]
fn lock_on_the_directory_does_not_delay_the_start() {
    let (folder, path) = folder();
    let directory = std::fs::File::open(folder.path()).unwrap();
    rustix::fs::flock(&directory, rustix::fs::FlockOperation::LockExclusive).unwrap();
    // The stale file is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let run = sockit("unix-server --timeout 3s --accept-timeout 10ms").arg(&path).run();
    run.exits(28).logs("timed out after 10ms");
    // A live one is not replaced, by any number of servers that start without the lock.
    let starts: Vec<_> =
        (0..6).map(|_| sockit("unix-server --accept-timeout 2s").arg(&path).start()).collect();
    let codes: Vec<_> = starts.into_iter().map(|start| start.wait().code).collect();
    assert_eq!(codes.iter().filter(|code| **code == 28).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 45).count(), 5, "{codes:?}");
}

#[test]
fn mode_is_set_despite_the_umask() {
    let (_folder, path) = folder();
    for (mode, umask) in [("0600", "000"), ("0666", "077"), ("660", "022")] {
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        let server = sockit("unix-server --mode").arg(mode).arg(&path);
        let server = server.under(["sh", "-c", &script]).serve();
        let created = path.metadata().unwrap().mode() & 0o777;
        assert_eq!(created, u32::from_str_radix(mode, 8).unwrap());
        server.stop().exits(0);
    }
    for mode in ["999", "01777", "rw"] {
        sockit("unix-server --mode").arg(mode).arg(&path).run().exits(2);
    }
}

#[test]
fn rules_of_addresses_are_usage_errors() {
    let (_folder, path) = folder();
    for flags in ["--allow 127.0.0.1", "--deny ::/0", "--max-conns-per-ip 1"] {
        let run = sockit("unix-server").and(flags).arg(&path).run();
        run.exits(2).fails_at("listen").logs("no IP address");
        assert!(!path.exists());
    }
}

#[test]
fn invalid_path_exits_45_and_missing_server_exits_7() {
    let (folder, path) = folder();
    let long = folder.path().join("x".repeat(108));
    sockit("unix-server").arg(&long).run().exits(45).logs("too long");
    sockit("unix-server").arg(path.join("no/such")).run().exits(45).fails_at("bind");
    client("--send x", &path).run().exits(7).fails_at("connect");
    let name = format!("@sockit-stream-{}", std::process::id());
    let server = sockit("unix-server --service echo").arg(&name).serve();
    assert_eq!(server.local(), name);
    sockit("unix-client").arg(&name).stdin("x").run().exits(0).prints("x");
    sockit("unix-server").arg(&name).run().exits(45).fails_at("bind");
    server.stop().exits(0);
}

#[test]
fn real_unix_clients_are_served() {
    let (_folder, path) = folder();
    let server = server("", &path);
    let socket = path.to_str().unwrap();
    let connect = format!("UNIX-CONNECT:{socket}");
    for (name, args) in [
        ("nc.openbsd", &["-N", "-U", socket][..]),
        ("ncat", &["-U", socket]),
        ("socat", &["-t5", "STDIO", &connect]),
    ] {
        let Some(mut theirs) = peer::program(name) else { continue };
        theirs.args(args);
        theirs.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut theirs = Process::start(theirs, None, LIMIT);
        theirs.write_stdin("you");
        theirs.wait_for_output("Welcome!Hello, you!");
    }
    server.stop().exits(0);
}

#[test]
fn real_unix_servers_serve_the_client() {
    let (_folder, path) = folder();
    let socket = path.to_str().unwrap().to_string();
    let listen = format!("UNIX-LISTEN:{socket}");
    for (name, args) in [
        ("nc.openbsd", &["-N", "-l", "-U", &socket][..]),
        ("ncat", &["-l", "-U", &socket]),
        ("socat", &["-t5", &listen, "STDIO"]),
    ] {
        let Some(mut theirs) = peer::program(name) else { continue };
        theirs.args(args);
        theirs.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut theirs = Process::start(theirs, None, LIMIT);
        theirs.write_stdin("answer");
        let ours = client("--retry 100 --retry-delay 20ms", &path).stdin("question").start();
        theirs.wait_for_output("question");
        theirs.close_stdin();
        ours.wait().exits(0).prints("answer");
        drop(theirs);
        let _ = std::fs::remove_file(&path);
    }
}

#[test]
fn datagram_socket_behind_stream_client_gets_hint() {
    let (_folder, path) = folder();
    let datagrams = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    client("", &path).run().exits(7).fails_at("connect").logs("unix-client --datagram");
    let works = client("--datagram --send x --wait 10ms", &path).run();
    works.exits(0);
    drop(datagrams);
    std::fs::remove_file(&path).unwrap();
    let _streams = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let run = client("--datagram --send x", &path).run();
    run.exits(7).fails_at("connect").logs("hint: it is no datagram socket");
}
