//! A way from a client to a server: directly, as a control, or through relays.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;

use crate::support::process::Daemon;
use crate::support::sockit::{LIMIT, sockit};

/// A listening server, and the address at which a client reaches it.
pub struct Route {
    pub name: &'static str,
    listener: Socket,
    address: SockAddr,
    /// The relays between them.
    pub relays: Vec<Daemon>,
    _directory: Option<TempDir>,
}

/// The two ends of one connection.
pub struct Ends {
    pub client: Socket,
    pub server: Socket,
}

/// How a stream has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Eof,
    Reset,
}

impl Route {
    /// Without a relay.
    pub fn direct() -> Route {
        let listener = tcp_listener();
        let address = listener.local_addr().unwrap();
        Route { name: "direct", listener, address, relays: Vec::new(), _directory: None }
    }

    /// Through one relay, with these flags.
    pub fn relay_with(flags: &str) -> Route {
        let listener = tcp_listener();
        let target = listener.local_addr().unwrap().as_socket().unwrap();
        let relay = sockit(&format!("relay 0 {target} {flags}")).serve();
        let address = relay.addr().into();
        Route { name: "tcp to tcp", listener, address, relays: vec![relay], _directory: None }
    }

    /// Through one relay.
    pub fn relay() -> Route {
        Route::relay_with("")
    }

    /// From TCP to TLS, and from TLS to TCP.
    #[cfg(feature = "tls")]
    pub fn tls() -> Route {
        let listener = tcp_listener();
        let target = listener.local_addr().unwrap().as_socket().unwrap();
        let inner = sockit(&format!("relay 0 {target} --listen-tls")).serve();
        let tls = inner.addr();
        let outer = sockit(&format!("relay 0 {tls} --tls --insecure -q --print-port")).serve();
        let address = outer.addr().into();
        let relays = vec![outer, inner];
        Route { name: "tcp to tls to tcp", listener, address, relays, _directory: None }
    }

    /// To a server on a Unix socket.
    pub fn to_unix() -> Route {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("target");
        let listener = unix_listener(&path);
        let relay = sockit("relay 0").arg(format!("unix:{}", path.display())).serve();
        let address = relay.addr().into();
        let relays = vec![relay];
        Route { name: "tcp to unix", listener, address, relays, _directory: Some(directory) }
    }

    /// From clients on a Unix socket.
    pub fn from_unix() -> Route {
        Route::from_unix_with("")
    }

    /// From clients on a Unix socket, with these flags.
    pub fn from_unix_with(flags: &str) -> Route {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("listen");
        let listener = tcp_listener();
        let target = listener.local_addr().unwrap().as_socket().unwrap();
        let relay = sockit(&format!("relay {flags}"))
            .arg(format!("unix:{}", path.display()))
            .arg(target.to_string())
            .serve();
        let address = SockAddr::unix(&path).unwrap();
        let relays = vec![relay];
        Route { name: "unix to tcp", listener, address, relays, _directory: Some(directory) }
    }

    /// Connects a client, and accepts its connection at the server.
    #[track_caller]
    pub fn connect(&self) -> Ends {
        let client = Socket::new(self.address.domain(), Type::STREAM, None).unwrap();
        client.connect(&self.address).expect("the listener accepts");
        let server = self.accept();
        client.set_read_timeout(Some(LIMIT)).unwrap();
        client.set_write_timeout(Some(LIMIT)).unwrap();
        Ends { client, server }
    }

    /// As [`Route::connect`]; `None` if the relay resets the connection instead.
    pub fn connect_unless_refused(&self) -> Option<Ends> {
        let client = Socket::new(self.address.domain(), Type::STREAM, None).unwrap();
        // The reset may be faster than the return of connect(2).
        client.connect(&self.address).ok()?;
        let mut fds =
            [PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&client, PollFlags::empty())];
        let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
        assert!(poll(&mut fds, Some(&limit)).unwrap() > 0, "neither accepted nor reset");
        fds[1].revents().is_empty().then(|| Ends { client, server: self.accept() })
    }

    /// The next connection at the server.
    #[track_caller]
    pub fn accept(&self) -> Socket {
        let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
        let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
        assert_eq!(poll(&mut fds, Some(&limit)), Ok(1), "a connection arrives ({})", self.name);
        let server = self.listener.accept().unwrap().0;
        server.set_read_timeout(Some(LIMIT)).unwrap();
        server.set_write_timeout(Some(LIMIT)).unwrap();
        server
    }
}

/// Runs a test on a direct connection, and through relays between TCP sockets.
pub fn on_tcp_routes(test: impl Fn(&Route)) {
    test(&Route::direct());
    test(&Route::relay());
    #[cfg(feature = "tls")]
    test(&Route::tls());
}

/// The same, and through relays that have a Unix socket on one side.
pub fn on_all_routes(test: impl Fn(&Route)) {
    on_tcp_routes(&test);
    test(&Route::to_unix());
    test(&Route::from_unix());
}

fn tcp_listener() -> Socket {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(512).unwrap();
    listener
}

fn unix_listener(path: &PathBuf) -> Socket {
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(path).unwrap()).unwrap();
    listener.listen(512).unwrap();
    listener
}

/// Sends all of `bytes`.
#[track_caller]
pub fn send(mut socket: &Socket, bytes: &[u8]) {
    socket.write_all(bytes).expect("the bytes are sent");
}

/// Reads exactly `len` bytes.
#[track_caller]
pub fn receive(mut socket: &Socket, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    socket.read_exact(&mut bytes).expect("the bytes arrive");
    bytes
}

/// Reads up to the end of the stream.
#[track_caller]
pub fn read_to_end(mut socket: &Socket) -> (Vec<u8>, End) {
    let mut bytes = Vec::new();
    match socket.read_to_end(&mut bytes) {
        Ok(_) => (bytes, End::Eof),
        Err(e) if e.kind() == ErrorKind::ConnectionReset => (bytes, End::Reset),
        Err(e) => panic!("{e} after {} bytes", bytes.len()),
    }
}

/// Ends the stream to the peer.
#[track_caller]
pub fn half_close(socket: &Socket) {
    socket.shutdown(Shutdown::Write).expect("a half-close");
}

/// Closes with a reset (socket(7), `SO_LINGER`).
pub fn reset(socket: Socket) {
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(socket);
}

/// Sends until the connection fails, and returns how.
pub fn send_until_error(mut socket: &Socket) -> ErrorKind {
    loop {
        if let Err(e) = socket.write_all(&[7; 65536]) {
            return e.kind();
        }
    }
}

/// Sends without blocking until nothing was accepted for `pause`; returns how many bytes were.
pub fn send_until_full(mut socket: &Socket, pause: Duration) -> usize {
    socket.set_nonblocking(true).unwrap();
    let (mut sent, pause) = (0, Timespec::try_from(pause).unwrap());
    loop {
        match socket.write(&[7; 65536]) {
            Ok(n) => sent += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(socket, PollFlags::OUT)];
                if poll(&mut fds, Some(&pause)) == Ok(0) {
                    break;
                }
            }
            Err(e) => panic!("{e} after {sent} bytes"),
        }
    }
    socket.set_nonblocking(false).unwrap();
    sent
}

/// Waits, without reading or writing, until the connection was reset.
#[track_caller]
pub fn wait_for_reset(socket: &Socket) {
    let mut fds = [PollFd::new(socket, PollFlags::empty())];
    let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
    assert_eq!(poll(&mut fds, Some(&limit)), Ok(1), "the reset arrives");
}

/// Waits, without reading, until something has arrived.
#[track_caller]
pub fn wait_until_readable(socket: &Socket) {
    let mut fds = [PollFd::new(socket, PollFlags::IN)];
    let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
    assert_eq!(poll(&mut fds, Some(&limit)), Ok(1), "something arrives");
}
