//! The reading half of one peer, on a non-blocking socket: a read waits by poll(2), so that it also ends
//! at the idle timeout.

use std::io::{self, ErrorKind, Read};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};

use super::state::SessionState;
use super::stop_reason::StopReason;
use crate::error::{ExitCode, LayerError, Phase};
use crate::net::stream::Reader;
use crate::net::stream_observer::Observation;
use crate::relay::direction::Direction;

/// Reads from the source of a direction.
pub struct RelayReader {
    inner: Box<dyn Reader>,
    direction: Direction,
    state: Arc<SessionState>,
    /// Whether the last read has taken all that had arrived.
    is_drained: bool,
}

impl RelayReader {
    /// The reader of the source of `direction`.
    pub fn new(
        inner: Box<dyn Reader>,
        direction: Direction,
        state: &Arc<SessionState>,
    ) -> RelayReader {
        // A layer may hold what followed its handshake.
        let is_drained = inner.plain_fd().is_some();
        RelayReader { inner, direction, state: state.clone(), is_drained }
    }

    /// The socket, if it carries the user's bytes and they are not observed.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.inner.plain_fd().filter(|_| self.inner.observation() == Observation::None)
    }

    /// Waits until something has arrived.
    ///
    /// Fails with [`StopReason::Idle`].
    pub fn wait(&self) -> io::Result<()> {
        let source = self.state.source(self.direction);
        self.state.poll(&mut [PollFd::from_borrowed_fd(source.fd(), PollFlags::IN)])
    }

    /// Whether the next read has to wait, as far as the last one has shown.
    pub fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// As [`RelayReader::wait`]; the next read does not wait again.
    pub fn wait_for_bytes(&mut self) -> io::Result<()> {
        self.wait()?;
        self.is_drained = false;
        Ok(())
    }

    /// Checks whether an end of stream is the peer's.
    fn check_end(&self) -> io::Result<()> {
        let source = self.state.source(self.direction);
        if source.handle.closed_locally() {
            return Err(StopReason::Closed.into());
        }
        if source.handle.is_truncated() {
            return Err(truncated());
        }
        if source.received_reset() {
            return Err(io::Error::from_raw_os_error(libc::ECONNRESET));
        }
        Ok(())
    }
}

impl Read for RelayReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_drained {
                self.wait()?;
            }
            match self.inner.read(buffer) {
                Ok(0) => return self.check_end().map(|()| 0),
                Ok(n) => {
                    self.is_drained = n < buffer.len() && self.inner.plain_fd().is_some();
                    return Ok(n);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.is_drained = true,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl Reader for RelayReader {}

/// The error of a TLS stream that ended without close_notify (RFC 8446 §6.1).
fn truncated() -> io::Error {
    let why = "the peer ended without close_notify (truncated)".to_string();
    let (phase, code) = (Phase::Receive, ExitCode::Partial);
    io::Error::new(ErrorKind::UnexpectedEof, LayerError { phase, code, why, hint: None })
}
