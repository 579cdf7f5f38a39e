//! The writing half of one peer, on a non-blocking socket: a write waits by poll(2), so that it also ends
//! at the idle timeout and at a reset by the other peer.

use std::io::{self, ErrorKind, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};

use super::peer_socket::Hangup;
use super::state::SessionState;
use super::stop_reason::StopReason;
use crate::net::stream::Writer;
use crate::net::stream_observer::Observation;
use crate::relay::direction::Direction;

/// Bytes that are written to a layer in one step, once the socket has room: as much as fits into a
/// third of the smallest send buffer, so that the layer does not wait by itself (tcp(7),
/// `SO_SNDBUF`).
const LAYER_CHUNK: usize = 16 << 10;

/// Writes to the destination of a direction. While that is full it watches the source, whose reset
/// would otherwise be noticed only by the next read.
pub struct RelayWriter {
    inner: Box<dyn Writer>,
    direction: Direction,
    state: Arc<SessionState>,
    /// Whether the source may still be reset.
    watches_source: bool,
}

impl RelayWriter {
    /// The writer of the destination of `direction`.
    pub fn new(
        inner: Box<dyn Writer>,
        direction: Direction,
        state: &Arc<SessionState>,
    ) -> RelayWriter {
        RelayWriter { inner, direction, state: state.clone(), watches_source: true }
    }

    /// The socket, if it carries the user's bytes and they are not observed.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.inner.plain_fd().filter(|_| self.inner.observation() == Observation::None)
    }

    /// Repeats a write that does not block until it does not return `WouldBlock`.
    ///
    /// Fails as `write` does, with [`StopReason::SourceReset`] or with [`StopReason::Idle`].
    pub fn write_with<T>(
        &mut self,
        mut write: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let destination = self.state.destination(self.direction);
            match destination.write_with(|| write(destination.fd())) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.wait()?,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Waits until the destination has room, or has failed.
    fn wait(&mut self) -> io::Result<()> {
        let source = self.state.source(self.direction);
        let destination = self.state.destination(self.direction);
        let mut fds = [
            PollFd::from_borrowed_fd(destination.fd(), PollFlags::OUT),
            PollFd::from_borrowed_fd(source.fd(), PollFlags::empty()),
        ];
        loop {
            let watched = if self.watches_source { &mut fds[..] } else { &mut fds[..1] };
            self.state.poll(watched)?;
            if !fds[0].revents().is_empty() {
                return Ok(());
            }
            match source.hangup(fds[1].revents()) {
                Some(Hangup::Reset) => return Err(StopReason::SourceReset.into()),
                // Its end of stream is read after what the destination has no room for yet.
                Some(Hangup::Closed) => self.watches_source = false,
                None => {}
            }
        }
    }

    /// Writes to a layer, which would wait by itself if its socket had no room.
    fn write_to_layer(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.wait()?;
            match self.inner.write(&bytes[..bytes.len().min(LAYER_CHUNK)]) {
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                done => return done,
            }
        }
    }
}

impl Write for RelayWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.socket().is_none() {
            return self.write_to_layer(bytes);
        }
        self.write_with(|socket| Ok(rustix::net::send(socket, bytes, SEND_FLAGS)?))
    }

    /// Fails with [`StopReason::Closed`] once the connection was reset: a direction that waits calls this
    /// to end its wait.
    fn flush(&mut self) -> io::Result<()> {
        if self.state.is_reset() || self.state.client.handle.closed_locally() {
            return Err(StopReason::Closed.into());
        }
        self.inner.flush()
    }
}

const SEND_FLAGS: rustix::net::SendFlags = rustix::net::SendFlags::NOSIGNAL;

impl Writer for RelayWriter {
    fn half_close(&mut self) -> io::Result<()> {
        self.state.destination(self.direction).set_sent_fin();
        self.inner.half_close()
    }
}
