//! A handle to a connection that any thread may use to end it, or to query its state (`tcp_info`).

use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, io};

use socket2::{Socket, TcpKeepalive};

use super::address::Address;
use super::stream_observer::{Call, StreamObserver};
use crate::error::{ExitCode, Failure, Phase};

/// Idle time before the first probe of [`ConnectionHandle::probe_peer`], and between probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// Unanswered probes after which the connection fails: 50 s in all.
const MAX_PROBES: u32 = 4;

/// The hint for a TLS stream that ended without close_notify.
pub const TRUNCATION_HINT: &str = "--allow-truncation accepts an end without close_notify";

/// Ends a connection from any thread, and wakes threads that are blocked on it. Clones refer to the
/// same connection.
#[derive(Clone)]
pub struct ConnectionHandle {
    socket: Arc<Socket>,
    state: Arc<HandleState>,
}

#[derive(Default)]
struct HandleState {
    closed: AtomicBool,
    truncated: AtomicBool,
    observer: OnceLock<Arc<dyn StreamObserver>>,
}

impl fmt::Debug for ConnectionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

impl ConnectionHandle {
    /// A handle to the connection of `socket`.
    pub fn new(socket: Arc<Socket>) -> ConnectionHandle {
        ConnectionHandle { socket, state: Arc::default() }
    }

    /// Shuts down both directions. The kernel delivers what was sent before, then a FIN.
    pub fn shutdown(&self) {
        self.state.closed.store(true, Ordering::SeqCst);
        if self.socket.shutdown(Shutdown::Both).is_ok() {
            self.observe(Call::ShutDown);
        }
    }

    /// Passes the calls of this handle to `observer` too; the first observer stays.
    pub fn set_observer(&self, observer: Arc<dyn StreamObserver>) {
        let _ = self.state.observer.set(observer);
    }

    /// Announces to the observer that the connection is about to be closed.
    pub fn observe_close(&self) {
        self.observe(Call::Closing);
    }

    fn observe(&self, call: Call<'_>) {
        if let Some(observer) = self.state.observer.get() {
            observer.on_call(call);
        }
    }

    /// Aborts the connection: the close that follows sends a reset, so that the peer does not take
    /// it for the end of a complete stream. Blocked threads wake.
    pub fn abort(&self) {
        self.state.closed.store(true, Ordering::SeqCst);
        let _ = self.socket.set_linger(Some(Duration::ZERO));
        self.observe(Call::Reset);
        // Dissolving the association sends the reset and wakes all threads (connect(2), AF_UNSPEC;
        // tcp(7)). Kernels that refuse it while a thread waits get a shutdown of the reading side,
        // which the peer does not see; the close does the rest. A Unix socket is reset only by a
        // close with unread data (unix(7)), and only a shutdown of both directions, which its peer
        // sees as an end of stream, wakes a writer that is blocked, or a thread that waits for the
        // hang-up of a peer which sends no more.
        if rustix::net::connect_unspec(self.socket.as_ref()).is_err() {
            let is_unix = self.socket.local_addr().is_ok_and(|local| local.is_unix());
            let has_reset = self.unacked_bytes() == 0 && self.has_unread();
            let how = if is_unix && !has_reset { Shutdown::Both } else { Shutdown::Read };
            let _ = self.socket.shutdown(how);
        }
    }

    /// Turns on keepalive probes (tcp(7), `SO_KEEPALIVE`), unless they are on: the connection then
    /// fails within about a minute after the peer has gone, which its end of stream alone does not
    /// show.
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

    /// Shuts down the reading side: a blocked reader wakes and sees the end of the stream. The peer
    /// does not notice, and sending continues.
    pub fn shutdown_read(&self) {
        self.state.closed.store(true, Ordering::SeqCst);
        if self.socket.shutdown(Shutdown::Read).is_ok() {
            self.observe(Call::ReadShutDown);
        }
    }

    /// Whether nothing is in flight: all that was sent is acknowledged, all that arrived is read.
    pub fn is_quiescent(&self) -> bool {
        !self.has_unread() && self.unacked_bytes() == 0
    }

    /// Whether the connection was closed locally before all that had arrived was read: it is not
    /// answered, and a clean close would hide that.
    pub fn left_unread(&self) -> bool {
        self.closed_locally() && self.has_unread()
    }

    /// Whether the kernel has received bytes that have not been read (tcp(7), unix(7), `SIOCINQ`).
    pub fn has_unread(&self) -> bool {
        rustix::io::ioctl_fionread(self.socket.as_ref()).unwrap_or(0) > 0
    }

    /// Whether this process ended the connection: an end of stream read afterwards is not the peer's.
    pub fn closed_locally(&self) -> bool {
        self.state.closed.load(Ordering::SeqCst)
    }

    /// Records that the peer's TLS stream ended without close_notify (RFC 8446 §6.1). Readers see
    /// an end of stream, so that outstanding answers can be sent.
    pub fn note_truncation(&self) {
        self.state.truncated.store(true, Ordering::SeqCst);
    }

    /// Whether the peer's stream ended without close_notify.
    pub fn is_truncated(&self) -> bool {
        self.state.truncated.load(Ordering::SeqCst)
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

    /// Limits how long one read or write may block (`SO_RCVTIMEO`, `SO_SNDTIMEO`); after that the
    /// call fails with `WouldBlock`. `None` removes the limit.
    pub fn limit_waits(&self, limit: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(limit)?;
        self.socket.set_write_timeout(limit)
    }

    /// The socket under all layers, for `poll(2)` and queries, not for data.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }
}
