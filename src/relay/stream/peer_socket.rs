//! One of the two sockets of a relayed connection, and the state of it that both threads share.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use socket2::Socket;

use crate::net::address::Address;
use crate::net::stream::{ConnectionHandle, Stream};

/// Interval of checks whether sent bytes are acknowledged, for which poll(2) has no event.
const ACK_CHECK: Duration = Duration::from_millis(1);

/// Bytes that a send buffer takes before they are sent.
#[cfg(target_os = "linux")]
const MAX_UNSENT: u32 = 256 << 10;

/// The socket of the client or of the target.
#[derive(Debug)]
pub struct PeerSocket {
    /// Ends the connection.
    pub handle: ConnectionHandle,
    /// The address of the peer.
    pub address: Address,
    is_tcp: bool,
    /// Whether a write has consumed the error of a reset (socket(7), `SO_ERROR`), which a read then
    /// returns as an end of stream. Locked during each write, so that a read that returns 0 can wait for
    /// the writer to record it.
    received_reset: Mutex<bool>,
    /// Whether the other peer's end of stream was passed on to this one.
    sent_fin: AtomicBool,
}

impl PeerSocket {
    /// The socket of `stream`, which is non-blocking from now on and sends small writes immediately.
    ///
    /// Fails when the kernel refuses that.
    pub fn new(stream: &Stream) -> io::Result<PeerSocket> {
        let handle = stream.handle.clone();
        handle.limit_waits(None)?;
        handle.socket().set_nonblocking(true)?;
        let is_tcp = stream.info.peer.inet().is_some();
        if is_tcp {
            handle.socket().set_tcp_nodelay(true)?;
            limit_unsent(handle.socket())?;
        }
        let address = stream.info.peer.clone();
        let (received_reset, sent_fin) = (Mutex::default(), AtomicBool::new(false));
        Ok(PeerSocket { handle, address, is_tcp, received_reset, sent_fin })
    }

    /// The descriptor, for poll(2).
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.handle.socket().as_fd()
    }

    /// Runs a write that does not block, and records a reset that it reports.
    pub fn write_with<T>(&self, write: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut received_reset = self.lock_reset();
        let written = write();
        *received_reset |=
            written.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset);
        written
    }

    /// Whether a write has reported a reset by this peer.
    pub fn received_reset(&self) -> bool {
        *self.lock_reset()
    }

    fn lock_reset(&self) -> MutexGuard<'_, bool> {
        self.received_reset.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that an end of stream is about to be sent.
    pub fn set_sent_fin(&self) {
        self.sent_fin.store(true, Ordering::SeqCst);
    }

    /// What a hang-up of this socket means, if `events` of poll(2) have one.
    pub fn hangup(&self, events: PollFlags) -> Option<Hangup> {
        if events.contains(PollFlags::ERR) {
            return Some(Hangup::Reset);
        }
        if !events.contains(PollFlags::HUP) {
            return None;
        }
        // TCP hangs up after an end of stream in both directions, or after a reset, whose error a
        // read or write may have consumed. A Unix socket hangs up when its peer closes.
        let is_reset = self.is_tcp && !self.sent_fin.load(Ordering::SeqCst);
        Some(if is_reset { Hangup::Reset } else { Hangup::Closed })
    }

    /// Waits until the peer's kernel has acknowledged all sent bytes, `deadline` at the latest. What a
    /// Unix socket has sent is in its peer's receive buffer already.
    pub fn wait_until_acked(&self, deadline: Instant) {
        while self.is_tcp
            && Instant::now() < deadline
            && self.handle.unacked_bytes() > 0
            && !self.handle.is_closed()
        {
            std::thread::sleep(ACK_CHECK);
        }
    }

    /// Whether the peer has received everything and the end of the stream, but may still send.
    pub fn only_sends(&self) -> bool {
        self.is_tcp
            && self.sent_fin.load(Ordering::SeqCst)
            && self.handle.unacked_bytes() == 0
            && !self.handle.is_closed()
    }

    /// Wakes the thread that reads from this peer: it reads what has arrived, then an end of stream.
    pub fn wake_reader(&self) {
        // A socket that was reset is no longer connected, and its reader is awake.
        let _ = self.handle.socket().shutdown(std::net::Shutdown::Read);
    }
}

/// What a hang-up of a socket means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// The peer has reset the connection.
    Reset,
    /// The connection is closed in both directions.
    Closed,
}

/// Limits how much the kernel takes before it is sent (tcp(7), `TCP_NOTSENT_LOWAT`): otherwise its send
/// buffer holds megabytes for a peer that does not read, and the other peer learns of it late.
#[cfg(target_os = "linux")]
fn limit_unsent(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_notsent_lowat(MAX_UNSENT)
}

/// Not available on this system.
#[cfg(not(target_os = "linux"))]
fn limit_unsent(_: &Socket) -> io::Result<()> {
    Ok(())
}
