//! The other end of a connection: scripted peers on std::net, and real programs.
//!
//! Every read and write has a timeout, so that a test fails instead of hanging.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Socket, Type};

use crate::support::sockit::LIMIT;
use crate::support::wait_until;

/// A listener that runs a script with one connection, on its own thread.
pub struct Peer<T> {
    addr: SocketAddr,
    outcome: mpsc::Receiver<T>,
}

/// Runs `script` with the first connection.
pub fn peer<T: Send + 'static>(script: impl FnOnce(TcpStream) -> T + Send + 'static) -> Peer<T> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the peer");
    peer_on(listener, script)
}

/// Runs `script` with the first connection of this listener.
pub fn peer_on<T: Send + 'static>(
    listener: TcpListener,
    script: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> Peer<T> {
    let addr = listener.local_addr().expect("a bound address");
    let (tx, outcome) = mpsc::channel();
    thread::spawn(move || {
        if let Some(stream) = accept(&listener) {
            drop(listener);
            let _ = tx.send(script(stream));
        }
    });
    Peer { addr, outcome }
}

impl<T> Peer<T> {
    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits for the result of the script.
    #[track_caller]
    pub fn outcome(&self) -> T {
        self.outcome.recv_timeout(LIMIT).expect("the result of the script")
    }
}

fn accept(listener: &TcpListener) -> Option<TcpStream> {
    let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    match poll(&mut fds, Some(&limit)) {
        Ok(1) => Some(limited(listener.accept().ok()?.0)),
        _ => None,
    }
}

fn limited(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(LIMIT)).expect("a read limit");
    stream.set_write_timeout(Some(LIMIT)).expect("a write limit");
    stream
}

/// Connects to a server under test.
#[track_caller]
pub fn connect(addr: SocketAddr) -> TcpStream {
    limited(TcpStream::connect_timeout(&addr, LIMIT).expect("a connection"))
}

/// What a script does with its connection.
pub trait Script {
    /// Sends all of it.
    fn send(&mut self, bytes: impl AsRef<[u8]>);
    /// Reads exactly this many bytes and checks them.
    fn expect_bytes(&mut self, bytes: impl AsRef<[u8]>);
    /// Reads up to the end of the stream.
    fn read_all(&mut self) -> Vec<u8>;
    /// Half-closes.
    fn half_close(&mut self);
    /// Resets the connection.
    fn reset(self);
    /// Sends one byte at a time, at this interval.
    fn send_slowly(&mut self, bytes: impl AsRef<[u8]>, apart: Duration);
    /// Waits without reading until the other end has closed; false at the timeout.
    fn wait_for_close(&mut self) -> bool;
    /// Waits without reading until the other end has half-closed or closed; false at the timeout.
    fn wait_for_fin(&mut self) -> bool;
}

impl Script for TcpStream {
    #[track_caller]
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.write_all(bytes.as_ref()).expect("a write to sockit");
    }

    #[track_caller]
    fn expect_bytes(&mut self, bytes: impl AsRef<[u8]>) {
        let want = bytes.as_ref();
        let mut got = vec![0; want.len()];
        let mut n = 0;
        while n < got.len() {
            match self.read(&mut got[n..]) {
                Ok(0) => break,
                Ok(more) => n += more,
                Err(why) => panic!("received {} before: {why}", got[..n].escape_ascii()),
            }
        }
        assert_eq!(got[..n].escape_ascii().to_string(), want.escape_ascii().to_string());
    }

    #[track_caller]
    fn read_all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let end = self.read_to_end(&mut all);
        end.unwrap_or_else(|why| panic!("received {} before: {why}", all.escape_ascii()));
        all
    }

    #[track_caller]
    fn half_close(&mut self) {
        self.shutdown(Shutdown::Write).expect("a half-close");
    }

    #[track_caller]
    fn reset(self) {
        let socket = socket2::Socket::from(self);
        socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    }

    #[track_caller]
    fn send_slowly(&mut self, bytes: impl AsRef<[u8]>, apart: Duration) {
        for byte in bytes.as_ref() {
            self.send([*byte]);
            thread::sleep(apart);
        }
    }

    fn wait_for_close(&mut self) -> bool {
        wait_for(self, PollFlags::empty())
    }

    fn wait_for_fin(&mut self) -> bool {
        wait_for(self, PollFlags::RDHUP)
    }
}

/// Waits for one of these events or for a hangup, which poll(2) always reports.
fn wait_for(stream: &TcpStream, what: PollFlags) -> bool {
    let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
    let mut fds = [PollFd::new(stream, what)];
    matches!(poll(&mut fds, Some(&limit)), Ok(1))
}

/// Answers after it has read the FIN, and closes; returns what it read.
pub fn answers_after_fin(answer: impl AsRef<[u8]> + Send + 'static) -> Peer<Vec<u8>> {
    peer(move |mut stream| {
        let received = stream.read_all();
        stream.send(answer);
        received
    })
}

/// Sends `part` and half-closes, then returns what it reads.
pub fn half_closes_first(part: &'static str) -> Peer<Vec<u8>> {
    peer(move |mut stream| {
        stream.send(part);
        stream.half_close();
        stream.read_all()
    })
}

/// Sends `part`, then resets.
pub fn sends_and_resets(part: &'static str) -> Peer<()> {
    peer(move |mut stream| {
        stream.send(part);
        stream.reset();
    })
}

/// Accepts and closes.
pub fn closes_immediately() -> Peer<()> {
    peer(drop)
}

/// Accepts, then neither reads nor writes until sockit has closed.
pub fn does_nothing() -> Peer<bool> {
    peer(|mut stream| stream.wait_for_close())
}

/// Echoes every byte and closes at the end; returns their number.
pub fn echoes() -> Peer<u64> {
    peer(|stream| io::copy(&mut &stream, &mut &stream).expect("an echo to the end"))
}

/// A port that refuses connections, reserved while this value lives.
pub struct Refusing(socket2::Socket);

impl Refusing {
    /// Binds without listening: the kernel answers each connection attempt with a reset.
    pub fn new() -> Refusing {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        socket.bind(&any.into()).expect("a port that refuses");
        Refusing(socket)
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.0.local_addr().ok().and_then(|a| a.as_socket()).expect("a bound address")
    }
}

/// A port that does not answer: its backlog is full, so the kernel ignores further connection
/// attempts.
pub struct Unanswering {
    listener: socket2::Socket,
    _fillers: Vec<socket2::Socket>,
}

impl Unanswering {
    /// Listens on this address and fills the backlog.
    pub fn on(addr: SocketAddr) -> Unanswering {
        let socket = || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            socket.expect("a socket")
        };
        let listener = socket();
        listener.bind(&addr.into()).expect("a port that never answers");
        listener.listen(0).expect("the shortest backlog");
        let addr = listener.local_addr().expect("a bound address");
        // One unanswered attempt may be a lost packet, two are a full backlog.
        let mut _fillers = Vec::new();
        let mut unanswered = 0;
        while unanswered < 2 && _fillers.len() < 10 {
            let filler = socket();
            let answered = filler.connect_timeout(&addr, Duration::from_millis(100)).is_ok();
            unanswered = if answered { 0 } else { unanswered + 1 };
            _fillers.push(filler);
        }
        Unanswering { listener, _fillers }
    }

    /// Accepts every connection from now on.
    pub fn accept_all(self) {
        self.listener.set_read_timeout(Some(LIMIT)).expect("a limit of accept(2)");
        thread::spawn(move || {
            let mut accepted = Vec::new();
            while let Ok((connection, _)) = self.listener.accept() {
                accepted.push(connection);
            }
        });
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.listener.local_addr().ok().and_then(|a| a.as_socket()).expect("a bound address")
    }
}

/// A real program by its name, if PATH has it. A missing one skips the test with a message, or
/// fails it when SOCKIT_REQUIRE_PEERS=1.
pub fn program(name: &str) -> Option<Command> {
    if on_path(name) {
        let mut command = Command::new(name);
        command.env("LC_ALL", "C.UTF-8");
        return Some(command);
    }
    let required = std::env::var_os("SOCKIT_REQUIRE_PEERS").is_some_and(|v| v == "1");
    assert!(!required, "{name} is not on PATH, and SOCKIT_REQUIRE_PEERS=1");
    eprintln!("skipped: {name} is not on PATH");
    None
}

fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| is_program(&dir.join(name)))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// A TCP port on which nothing listens, for programs that cannot print the one they bind.
///
/// It stays bound until the end of the process, so that the kernel gives it to no other socket; a program
/// that sets SO_REUSEADDR (socket(7)) can listen on it.
pub fn free_port() -> u16 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("an option");
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).expect("a free port");
    let address = socket.local_addr().expect("a bound address").as_socket();
    std::mem::forget(socket);
    address.expect("an IP address").port()
}

/// Waits until a process listens on this TCP port, without connecting to it.
#[track_caller]
pub fn wait_for_listener(port: u16) {
    wait_until("a listener", || has_listener(port));
}

/// Waits until a terminating server has closed its listener.
#[track_caller]
pub fn wait_until_refused(addr: SocketAddr) {
    wait_until("the listener is closed", || TcpStream::connect(addr).is_err());
}

fn has_listener(port: u16) -> bool {
    let suffix = format!(":{port:04X}");
    has_socket(|socket| socket.local.ends_with(&suffix) && socket.state == "0A")
}

/// Waits until the process at the other end of `stream` has read all that was sent to it.
#[track_caller]
pub fn wait_until_read(stream: &TcpStream) {
    let port = |addr: io::Result<SocketAddr>| format!(":{:04X}", addr.expect("an address").port());
    let (local, remote) = (port(stream.peer_addr()), port(stream.local_addr()));
    wait_until("all data is read", || {
        !has_socket(|socket| {
            let is_other = socket.local.ends_with(&local) && socket.remote.ends_with(&remote);
            is_other && !socket.queues.ends_with(":00000000")
        })
    });
}

/// A line of `/proc/net/tcp` (proc(5)); numbers are hexadecimal.
struct TcpEntry<'a> {
    local: &'a str,
    remote: &'a str,
    /// `0A` is TCP_LISTEN.
    state: &'a str,
    /// Bytes to send and bytes to read.
    queues: &'a str,
}

fn has_socket(is_wanted: impl Fn(TcpEntry<'_>) -> bool) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        table.lines().any(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let &[_, local, remote, state, queues, ..] = &fields[..] else { return false };
            is_wanted(TcpEntry { local, remote, state, queues })
        })
    })
}
