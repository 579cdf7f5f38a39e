//! The send side of a prompt or a script, message by message.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::result::CONN;
use crate::error::{Failure, Phase};
use crate::net::stream::{ConnectionHandle, ConnectionInfo, Writer};
use crate::report::context::Context;
use crate::report::event::{Event, Side};
use crate::shutdown::WaitOutcome;
use crate::transfer::crlf::Crlf;
use crate::transfer::tap::Tap;
use crate::transfer::throttle::Throttle;

/// Bytes of the largest write while earlier bytes are not acknowledged.
const MAX_WRITE: usize = 4 << 10;
/// How often the socket is checked for unacknowledged bytes.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Sends messages to the peer.
pub struct MessageSender {
    /// The sending half of the connection.
    pub writer: Box<dyn Writer>,
    /// The connection.
    pub handle: ConnectionHandle,
    /// What is known about it.
    pub info: ConnectionInfo,
    /// Events and shutdown.
    pub context: Context,
    /// Observes the bytes.
    pub tap: Option<Tap>,
    /// Changes the bytes.
    pub filter: Option<Crlf>,
    /// Limits the rate.
    pub throttle: Option<Throttle>,
    /// Bytes written so far.
    pub sent: u64,
}

impl MessageSender {
    /// Sends one complete message; `received` is the number of bytes received before it.
    ///
    /// Fails at [`Phase::Send`]: 18 when the peer closed or bytes had been sent or received, else
    /// 55; and with 28, 130 or 143 on shutdown.
    pub fn send(&mut self, message: &[u8], received: u64) -> Result<(), Failure> {
        let changed = self.filter.as_mut().map(|filter| filter.apply(message));
        let message = changed.as_deref().unwrap_or(message);
        let max_chunk = self.throttle.as_ref().map_or(usize::MAX, Throttle::chunk_size);
        for chunk in message.chunks(max_chunk) {
            if let Some(throttle) = &mut self.throttle {
                throttle.wait_for(chunk.len());
            }
            // Before the write, or the dump could have a fast reply first.
            if let Some(tap) = &mut self.tap {
                tap.on_bytes(chunk);
            }
            self.write_chunk(chunk, received)?;
        }
        self.writer.flush().map_err(|e| self.send_error(e, received))
    }

    fn write_chunk(&mut self, mut bytes: &[u8], received: u64) -> Result<(), Failure> {
        while !bytes.is_empty() {
            self.wait_writable()?;
            match self.writer.write(&bytes[..self.write_budget().min(bytes.len())]) {
                Ok(0) => return Err(self.send_error(ErrorKind::WriteZero.into(), received)),
                Ok(n) => {
                    self.sent += n as u64;
                    bytes = &bytes[n..];
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.send_error(e, received)),
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
        let finished = self.writer.finish();
        finished.map_err(|e| Failure::new(Phase::Shutdown, &self.info.peer, e))
    }

    /// Waits until the peer's kernel has acknowledged all bytes.
    ///
    /// Fails at [`Phase::Send`] with 18 if the connection ended before, or on shutdown.
    pub fn wait_acked(&self, received: u64) -> Result<(), Failure> {
        loop {
            // In this order: the bytes queued in a Unix socket disappear when its peer closes, and
            // its error is set before.
            let unacked = self.handle.unacked_bytes();
            if let Ok(Some(e)) = self.handle.socket().take_error()
                && self.sent > 0
                && !self.failed_on_close_only()
            {
                return Err(self.send_error(e, received));
            }
            let is_closed = self.handle.is_closed() && !self.handle.unacknowledged(self.sent);
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

    /// Whether only our close_notify was answered with a reset, by a peer that had closed before.
    fn failed_on_close_only(&self) -> bool {
        self.info.is_encrypted && !self.handle.unacknowledged(self.sent)
    }

    fn send_error(&self, e: io::Error, received: u64) -> Failure {
        Failure::send(&self.info.peer, e, self.sent, received)
    }
}
