//! The middle of a connection's life: a byte pipe with two ends, each half with one owner.
//!
//! A thread per direction owns one half, and the types say who may touch what. A layer (TLS, a
//! proxy) takes a [`Stream`] and returns a [`Stream`]; nothing above can tell.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Socket, TcpKeepalive};

use super::address::Address;
use crate::error::{ExitCode, Failure, Phase};
use crate::shutdown::ShutdownReason;

/// Seconds of silence before the first probe of [`ConnectionHandle::probe_peer`], and between probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// Probes without an answer after which the connection has failed: 50 s in all.
const MAX_PROBES: u32 = 4;

/// The half that brings the peer's bytes.
pub trait Reader: Read + Send {
    /// The bare descriptor, when the bytes on it are the user's bytes and nothing is held back
    /// in a buffer: then, and only then, the kernel may move them (`splice(2)`).
    fn raw(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The offset in the file of [`Reader::raw`] at which the bytes end, where that is fixed: a
    /// file that ends before it has become shorter.
    fn end_offset(&self) -> Option<u64> {
        None
    }

    /// As `read`, for bytes that nobody wants to see: `unseen` says how many at most, and what is
    /// in it afterwards means nothing.
    fn skip(&mut self, unseen: &mut [u8]) -> io::Result<usize> {
        self.read(unseen)
    }

    /// Whether a read would bring more at once. A layer that cannot tell says no.
    fn is_ready(&self) -> bool {
        self.raw().is_some_and(|fd| {
            let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
            poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|n| n > 0)
        })
    }
}

/// The half that takes our bytes.
pub trait Writer: Write + Send {
    /// The half-close: no more from us, and the peer is told (TLS `close_notify`, then
    /// `shutdown(2)` with `SHUT_WR`). Reading goes on.
    fn finish(&mut self) -> io::Result<()>;

    /// As [`Reader::raw`], for the other direction.
    fn raw(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A connected byte pipe, in parts so that each has one owner.
pub struct Stream {
    /// Where the peer's bytes come from.
    pub reader: Box<dyn Reader>,
    /// Where ours go.
    pub writer: Box<dyn Writer>,
    /// Ends both ways from any thread.
    pub hangup: ConnectionHandle,
    /// What is known about the connection.
    pub facts: ConnectionInfo,
}

/// What is known about a connection once it stands.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Our end.
    pub local: Address,
    /// The other end; for a connection through a proxy, the proxy's.
    pub peer: Address,
    /// When it was connected or accepted.
    pub began: Instant,
    /// The name in the peer's verified TLS certificate, where there is one.
    pub peer_name: Option<String>,
    /// Who the peer is on this machine (Unix sockets, `SO_PEERCRED`).
    pub credentials: Option<Credentials>,
}

/// The process at the other end of a Unix socket when it connected (unix(7), `SO_PEERCRED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Process id.
    pub pid: i32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Who or what ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The peer closed first.
    Peer,
    /// We closed first.
    Us,
    /// A reset, or another failure of the connection.
    Reset,
    /// A time limit of ours.
    Timeout,
    /// A signal to us.
    Signal,
}

impl From<ShutdownReason> for EndedBy {
    fn from(reason: ShutdownReason) -> EndedBy {
        match reason {
            ShutdownReason::Interrupt | ShutdownReason::Terminate => EndedBy::Signal,
            ShutdownReason::Deadline => EndedBy::Timeout,
        }
    }
}

impl EndedBy {
    /// The word that events use.
    pub fn word(self) -> &'static str {
        match self {
            EndedBy::Peer => "peer",
            EndedBy::Us => "us",
            EndedBy::Reset => "reset",
            EndedBy::Timeout => "timeout",
            EndedBy::Signal => "signal",
        }
    }
}

/// Names the flag that takes an end without close_notify for an end.
pub const TRUNCATION_HINT: &str = "--allow-truncation accepts an end without close_notify";

/// Ends a connection from any thread and wakes whoever is blocked on it. Clones are the same cord.
#[derive(Debug, Clone)]
pub struct ConnectionHandle {
    socket: Arc<Socket>,
    pulled: Arc<AtomicBool>,
    truncated: Arc<AtomicBool>,
}

impl ConnectionHandle {
    /// A hangup for the connection on `socket`.
    pub fn new(socket: Arc<Socket>) -> ConnectionHandle {
        ConnectionHandle { socket, pulled: Arc::default(), truncated: Arc::default() }
    }

    /// No more in either direction. What the kernel still holds of ours is delivered, then a FIN.
    pub fn shutdown(&self) {
        self.pulled.store(true, Ordering::SeqCst);
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Both ways, now, and so that the peer sees it: the close that follows is a reset, never an
    /// end that looks whole. Whoever is blocked wakes.
    pub fn abort(&self) {
        self.pulled.store(true, Ordering::SeqCst);
        let _ = self.socket.set_linger(Some(Duration::ZERO));
        // Dissolving the association sends the reset and wakes everybody (connect(2), AF_UNSPEC;
        // tcp(7)). Kernels that refuse it while somebody waits get a shutdown of the reading side,
        // which the peer does not see; the close does the rest. A Unix socket is reset only by a
        // close with something unread (unix(7)), and only a shutdown both ways, which its peer
        // sees as an end, wakes a writer that is blocked there.
        if rustix::net::connect_unspec(self.socket.as_ref()).is_err() {
            let is_unix = self.socket.local_addr().is_ok_and(|local| local.is_unix());
            let may_block = is_unix && self.unacked_bytes() > 0;
            let ways = if may_block { Shutdown::Both } else { Shutdown::Read };
            let _ = self.socket.shutdown(ways);
        }
    }

    /// Turns on keepalive probes (tcp(7), `SO_KEEPALIVE`), unless the user has: the connection then
    /// fails within about a minute once the peer is gone altogether. Its end of stream alone does
    /// not show that.
    pub fn probe_peer(&self) {
        if self.socket.keepalive().unwrap_or(true) {
            return;
        }
        let probes = TcpKeepalive::new()
            .with_time(PROBE_INTERVAL)
            .with_interval(PROBE_INTERVAL)
            .with_retries(MAX_PROBES);
        // Only TCP has probes; a Unix socket hangs up with its peer (poll(2), `POLLHUP`).
        let _ = self.socket.set_tcp_keepalive(&probes);
    }

    /// No more is heard: a blocked reader wakes and sees the end of the stream, the peer sees
    /// nothing of it, and whatever is still owed can be sent.
    pub fn shutdown_read(&self) {
        self.pulled.store(true, Ordering::SeqCst);
        let _ = self.socket.shutdown(Shutdown::Read);
    }

    /// Whether nothing is under way: all of ours acknowledged, all of the peer's read.
    pub fn is_quiescent(&self) -> bool {
        !self.has_unread() && self.unacked_bytes() == 0
    }

    /// Whether we stopped reading before all that has arrived was read: it is not answered, and
    /// an orderly end would hide that.
    pub fn left_unread(&self) -> bool {
        self.closed_locally() && self.has_unread()
    }

    /// Whether the kernel holds bytes of the peer's that have not been read (tcp(7), unix(7),
    /// `SIOCINQ`).
    pub fn has_unread(&self) -> bool {
        rustix::io::ioctl_fionread(self.socket.as_ref()).unwrap_or(0) > 0
    }

    /// Whether we ended it ourselves: an end of stream seen afterwards is not the peer's.
    pub fn closed_locally(&self) -> bool {
        self.pulled.load(Ordering::SeqCst)
    }

    /// Records that the peer's TLS stream ended without close_notify (RFC 8446 §6.1). Readers see
    /// an end all the same, so that outstanding answers can be sent.
    pub fn note_truncation(&self) {
        self.truncated.store(true, Ordering::SeqCst);
    }

    /// Whether the peer's stream ended without close_notify.
    pub fn is_truncated(&self) -> bool {
        self.truncated.load(Ordering::SeqCst)
    }

    /// Fails with 18 when the stream of `peer` was truncated, after `received` bytes.
    pub fn check_truncation(&self, peer: &Address, received: u64) -> Result<(), Failure> {
        if !self.is_truncated() {
            return Ok(());
        }
        let why = format!("the peer ended without close_notify after {received} bytes (truncated)");
        let failure = Failure::new(Phase::Receive, peer, why).with_code(ExitCode::Partial);
        Err(failure.with_hint(TRUNCATION_HINT))
    }

    /// Limits how long one blocking read or write may go without a byte (`SO_RCVTIMEO`,
    /// `SO_SNDTIMEO`); past it the call fails with `WouldBlock`. `None` lifts the limit.
    pub fn limit_waits(&self, limit: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(limit)?;
        self.socket.set_write_timeout(limit)
    }

    /// Bytes of ours that the kernel has not yet seen acknowledged (tcp(7), `SIOCOUTQ`).
    pub fn unacked_bytes(&self) -> usize {
        unacked_bytes(&self.socket)
    }

    /// Whether the peer's kernel is known not to have acknowledged all of `sent` bytes; asked of a
    /// connection that has broken. Under a layer `sent` counts fewer bytes than the wire carried,
    /// so the answer errs on the side of «all».
    pub fn unacknowledged(&self, sent: u64) -> bool {
        self.acknowledged().is_some_and(|acked| acked < sent)
    }

    /// Bytes of ours that the peer's kernel has acknowledged, those of layers too, also after the
    /// connection has broken; `None` where that is not known.
    pub fn acknowledged(&self) -> Option<u64> {
        super::tcp_info::acknowledged(self.socket.as_fd())
    }

    /// Whether a TCP connection has failed or is over in both directions. What is undelivered then
    /// stays so.
    pub fn is_closed(&self) -> bool {
        super::tcp_info::is_closed(self.socket.as_fd())
    }

    /// The socket under all layers, for `poll(2)` and for questions, not for bytes.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }
}

#[cfg(target_os = "linux")]
fn unacked_bytes(socket: &Socket) -> usize {
    super::tcp_info::unacked_bytes(socket.as_fd()).unwrap_or(0)
}

#[cfg(not(target_os = "linux"))]
fn unacked_bytes(_: &Socket) -> usize {
    0
}

/// The bare halves of a connected socket.
struct SocketHalf(Arc<Socket>);

impl Read for SocketHalf {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.as_ref().read(buffer)
    }
}

impl Write for SocketHalf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.send_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Reader for SocketHalf {
    /// TCP throws the bytes away without copying them (tcp(7), `MSG_TRUNC`).
    #[cfg(target_os = "linux")]
    fn skip(&mut self, unseen: &mut [u8]) -> io::Result<usize> {
        let (_, n) = rustix::net::recv(self.0.as_fd(), unseen, rustix::net::RecvFlags::TRUNC)?;
        Ok(n)
    }

    fn raw(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

impl Writer for SocketHalf {
    fn finish(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    fn raw(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

impl Stream {
    /// A connected, blocking socket as a stream, with the addresses the kernel knows.
    ///
    /// Fails when the peer is gone already (`getpeername(2)`), which is the peer's doing.
    pub fn from_socket(socket: Socket) -> io::Result<Stream> {
        let peer = Address::from(&socket.peer_addr()?);
        Stream::with_peer(socket, peer)
    }

    /// As [`Stream::from_socket`], where `accept(2)` has already told the peer's address.
    ///
    /// A connection that fails here is reset: a clean end would say that this was all.
    pub fn with_peer(socket: Socket, peer: Address) -> io::Result<Stream> {
        let local = socket.local_addr().inspect_err(|_| {
            let _ = socket.set_linger(Some(Duration::ZERO));
        })?;
        let facts = ConnectionInfo {
            local: Address::from(&local),
            credentials: match peer {
                Address::Inet(_) => None,
                _ => super::tcp_info::credentials(&socket),
            },
            peer,
            began: Instant::now(),
            peer_name: None,
        };
        let socket = Arc::new(socket);
        Ok(Stream {
            reader: Box::new(SocketHalf(socket.clone())),
            writer: Box::new(SocketHalf(socket.clone())),
            hangup: ConnectionHandle::new(socket),
            facts,
        })
    }
}
