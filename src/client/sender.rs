//! The send side of a session of messages.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::message_session::MessageSession;
use super::result::CONN;
use crate::error::{Failure, Phase};
use crate::report::event::{Event, Side};
use crate::shutdown::WaitOutcome;

/// Bytes of the largest write while earlier bytes are not acknowledged.
const MAX_WRITE: usize = 4 << 10;
/// How often the socket is checked for unacknowledged bytes.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

impl MessageSession<'_> {
    /// Sends one complete message.
    ///
    /// Fails at [`Phase::Send`]: 18 when the peer closed or bytes had been sent or received, else
    /// 55; and with 28, 130 or 143 on shutdown.
    pub fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        let changed = self.up.filter.as_mut().map(|filter| filter.apply(message));
        let message = changed.as_deref().unwrap_or(message);
        for chunk in message.chunks(self.up.chunk_size(usize::MAX)) {
            self.up.begin(chunk);
            self.write_chunk(chunk)?;
        }
        self.writer.flush().map_err(|e| self.send_error(e))?;
        self.last_activity = Instant::now();
        Ok(())
    }

    fn write_chunk(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            self.wait_writable()?;
            match self.writer.write(&bytes[..self.write_budget().min(bytes.len())]) {
                Ok(0) => return Err(self.send_error(ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.up.meter.add(n);
                    bytes = &bytes[n..];
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.send_error(e)),
            }
        }
        Ok(())
    }

    /// The number of bytes that a writable socket takes without blocking, less what TLS records
    /// and the kernel's bookkeeping need (tcp(7)): a third of its buffer is free then, and all of
    /// it when nothing is unacknowledged, so that a message is sent by one write.
    fn write_budget(&self) -> usize {
        let buffer = self.handle.socket().send_buffer_size().unwrap_or(MAX_WRITE);
        match self.handle.unacked_bytes() {
            0 => (buffer / 2).max(1),
            _ => MAX_WRITE.min(buffer / 16).max(1),
        }
    }

    /// Waits until a write does not block, or until shutdown.
    fn wait_writable(&self) -> Result<(), Failure> {
        match self.context.shutdown.wait(self.handle.socket().as_fd(), PollFlags::OUT, None) {
            Ok(WaitOutcome::Shutdown(reason)) => {
                Err(Failure::shutdown(Phase::Send, &self.info.peer, reason))
            }
            // The write itself returns any other error.
            _ => Ok(()),
        }
    }

    /// Half-closes the connection, and emits the event.
    ///
    /// Fails at [`Phase::Shutdown`].
    pub fn half_close(&mut self) -> Result<(), Failure> {
        let event = Event::HalfClosed { conn: CONN, by: Side::Local, peer: None };
        self.context.report.emit(&event);
        self.close_write()
    }

    /// Half-closes the connection without an event: the peer has closed before.
    ///
    /// Fails at [`Phase::Shutdown`].
    pub fn close_write(&mut self) -> Result<(), Failure> {
        let finished = self.writer.half_close();
        finished.map_err(|e| Failure::new(Phase::Shutdown, &self.info.peer, e))
    }

    /// Waits until the peer's kernel has acknowledged all bytes.
    ///
    /// Fails at [`Phase::Send`] with 18 if the connection ended before, or on shutdown.
    pub fn wait_acked(&self) -> Result<(), Failure> {
        loop {
            // In this order: the bytes queued in a Unix socket disappear when its peer closes, and
            // its error is set before.
            let unacked = self.handle.unacked_bytes();
            if let Ok(Some(e)) = self.handle.socket().take_error()
                && self.up.meter.total() > 0
                // Else only our close_notify was answered with a reset, by a peer that had closed.
                && (!self.info.is_encrypted || self.handle.unacknowledged(self.up.meter.total()))
            {
                return Err(self.send_error(e));
            }
            let is_closed =
                self.handle.is_closed() && !self.handle.unacknowledged(self.up.meter.total());
            if unacked == 0 || is_closed {
                return Ok(());
            }
            let next_check = Some(Instant::now() + POLL_INTERVAL);
            let wait = self.context.shutdown.wait_any(&mut [], next_check);
            if let Ok(WaitOutcome::Shutdown(reason)) = wait {
                return Err(Failure::shutdown(Phase::Send, &self.info.peer, reason));
            }
        }
    }

    fn send_error(&self, e: io::Error) -> Failure {
        Failure::send(&self.info.peer, e, self.up.meter.total(), self.received)
    }
}
