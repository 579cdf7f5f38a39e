//! Sockets passed by a service manager, and notifications to it.

use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};

use tempfile::tempdir;

use crate::support::peer::{Script, connect};
use crate::support::sockit::{LIMIT, Sockit, sockit};

/// Starts `line` as systemd would, with these sockets as descriptors 3 and up.
fn activated(line: &str, sockets: &[&OwnedFd], names: &str) -> Sockit {
    let script = sockets.iter().enumerate().fold(String::new(), |script, (n, socket)| {
        // Duplicated first: the shell may use the wanted numbers itself.
        format!("{script} {}<&{}", n + 3, socket.as_raw_fd())
    });
    for socket in sockets {
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).unwrap();
    }
    let n = sockets.len();
    let script = format!("export LISTEN_PID=$$ LISTEN_FDS={n}; exec \"$0\" \"$@\" {script}");
    sockit(line).under(["bash", "-c", &script]).env("LISTEN_FDNAMES", names)
}

#[test]
fn passed_socket_is_used() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = activated("tcp-server --port 1", &[&listener.into()], "any").serve();
    assert_eq!(server.addr(), addr);
    connect(addr).expect_bytes("Welcome!");
    server.stop().exits(0);
}

#[test]
fn passed_socket_is_selected_by_name() {
    let other: OwnedFd = TcpListener::bind("127.0.0.1:0").unwrap().into();
    let ours = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = ours.local_addr().unwrap();
    let ours = ours.into();
    let server = activated("tcp-server --port 1", &[&other, &ours], "web:tcp-server").serve();
    assert_eq!(server.addr(), addr);
    let run = activated("tcp-server --port 1", &[&other, &ours], "web:mail").run();
    run.exits(45).fails_at("listen").logs("web, mail").logs("hint:");
}

#[test]
fn passed_socket_of_another_type_exits_45() {
    let folder = tempdir().unwrap();
    let unix = UnixListener::bind(folder.path().join("s")).unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    for socket in [OwnedFd::from(unix), udp.into(), file.into()] {
        activated("tcp-server --port 1", &[&socket], "s").run().exits(45).fails_at("listen");
    }
}

#[test]
fn passed_unix_socket_keeps_its_file() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let server = activated("unix-server /nowhere/at/all", &[&listener.into()], "s").serve();
    let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let mut welcome = [0; 8];
    std::io::Read::read_exact(&mut client, &mut welcome).unwrap();
    assert_eq!(&welcome, b"Welcome!");
    server.stop().exits(0);
    assert!(path.exists());
}

#[test]
fn sockets_of_another_process_are_ignored() {
    let run = sockit("tcp-server --port 0 --accept-timeout 100ms")
        .env("LISTEN_PID", "1")
        .env("LISTEN_FDS", "1")
        .run();
    run.exits(28);
}

#[test]
fn listen_variables_of_another_process_are_ignored() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("s").display().to_string();
    let unix = [format!("unix-server {path}"), format!("unix-server --datagram {path}")];
    let lines = ["tcp-server --port 0", "udp-server --port 0", "udp-echo --port 0"];
    for line in lines.into_iter().chain(unix.iter().map(String::as_str)) {
        let run = sockit(line).and("--accept-timeout 100ms").env("LISTEN_FDNAMES", "web:mail");
        run.env("LISTEN_PID", "1").env("LISTEN_FDS", "2").run().exits(28);
        let run = sockit(line).and("--accept-timeout 100ms").env("LISTEN_FDNAMES", "web");
        run.run().exits(28);
    }
}

#[test]
fn notify_socket_receives_ready_and_stopping() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(LIMIT)).unwrap();
    let receive = || {
        let mut buffer = [0; 100];
        let n = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).trim().to_string()
    };
    let server = sockit("tcp-server").env("NOTIFY_SOCKET", path.to_str().unwrap()).serve();
    assert_eq!(receive(), "READY=1");
    server.signal(libc::SIGTERM);
    assert_eq!(receive(), "STOPPING=1");
    server.wait().exits(0);
}
