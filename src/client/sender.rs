//! What goes to the peer of a prompt or a script, message by message.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::CONN;
use crate::error::{ExitCode, Failure, LayerError, Phase, message_without_errno};
use crate::flags::session::SessionFlags;
use crate::net::stream::{ConnectionHandle, ConnectionInfo, Writer};
use crate::report::Report;
use crate::report::event::{Event, Side};
use crate::shutdown::{Shutdown, WaitOutcome};
use crate::transfer::crlf::Crlf;
use crate::transfer::tap::Tap;
use crate::transfer::throttle::Throttle;

/// The most that is written at once while earlier bytes still wait, in bytes.
const PIECE: usize = 4 << 10;
/// How often it is asked whether the peer's kernel has everything.
const LOOK: Duration = Duration::from_millis(5);

/// The way to the peer.
pub struct Sender {
    writer: Box<dyn Writer>,
    hangup: ConnectionHandle,
    facts: ConnectionInfo,
    tap: Option<Tap>,
    filter: Option<Crlf>,
    pace: Option<Throttle>,
    /// Whether a layer tells the ends of both directions by itself (TLS).
    has_tls_close: bool,
    /// Bytes given to the kernel so far.
    pub sent: u64,
}

impl Sender {
    /// Messages go to `writer`, changed and held back as `talk` says.
    pub fn new(
        writer: Box<dyn Writer>,
        hangup: &ConnectionHandle,
        facts: &ConnectionInfo,
        tap: Option<Tap>,
        talk: &SessionFlags,
    ) -> Sender {
        Sender {
            has_tls_close: writer.raw().is_none(),
            writer,
            hangup: hangup.clone(),
            facts: facts.clone(),
            tap,
            filter: talk.crlf.then(Crlf::default),
            pace: talk.rate.map(Throttle::new),
            sent: 0,
        }
    }

    /// Sends one message whole; `received` bytes had come before it.
    ///
    /// Fails at [`Stage::Send`]: 18 for what the peer did not take, 55 when our own system would
    /// not send at the very beginning, and 28, 130 or 143 when the cord is pulled.
    pub fn send(&mut self, message: &[u8], received: u64, stop: &Shutdown) -> Result<(), Failure> {
        let changed = self.filter.as_mut().map(|filter| filter.apply(message));
        let message = changed.as_deref().unwrap_or(message);
        let most = self.pace.as_ref().map_or(usize::MAX, Throttle::chunk_size);
        for piece in message.chunks(most) {
            if let Some(pace) = &mut self.pace {
                pace.wait_for(piece.len());
            }
            // Before it is sent, or a quick answer would seem to come first.
            if let Some(tap) = &mut self.tap {
                tap.on_bytes(piece);
            }
            self.write_line(piece, received, stop)?;
        }
        self.writer.flush().map_err(|e| self.unsent(e, received))
    }

    fn write_line(
        &mut self,
        mut bytes: &[u8],
        received: u64,
        stop: &Shutdown,
    ) -> Result<(), Failure> {
        while !bytes.is_empty() {
            self.wait_writable(stop)?;
            match self.writer.write(&bytes[..self.write_budget().min(bytes.len())]) {
                Ok(0) => return Err(self.unsent(ErrorKind::WriteZero.into(), received)),
                Ok(n) => {
                    self.sent += n as u64;
                    bytes = &bytes[n..];
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.unsent(e, received)),
            }
        }
        Ok(())
    }

    /// Bytes that the socket has room for when poll(2) calls it ready, with some for the headers of
    /// a layer and what the kernel adds (tcp(7)): a third of its buffer is free then, and all of it
    /// when nothing waits, so that a message goes in one piece.
    fn write_budget(&self) -> usize {
        let buffer = self.hangup.socket().send_buffer_size().unwrap_or(PIECE);
        match self.hangup.unacked_bytes() {
            0 => (buffer / 2).max(1),
            _ => PIECE.min(buffer / 16).max(1),
        }
    }

    /// A peer that takes nothing holds up nobody who pulls the cord: we wait here, and the write
    /// itself does not block.
    fn wait_writable(&self, stop: &Shutdown) -> Result<(), Failure> {
        match stop.wait(self.hangup.socket().as_fd(), PollFlags::OUT, None) {
            Ok(WaitOutcome::Shutdown(reason)) => {
                Err(Failure::shutdown(Phase::Send, &self.facts.peer, reason))
            }
            // Whatever else is wrong, the write itself tells.
            _ => Ok(()),
        }
    }

    /// The half-close.
    ///
    /// Fails at [`Stage::Shutdown`].
    pub fn finish(&mut self, report: &Report) -> Result<(), Failure> {
        report.emit(&Event::HalfClosed { conn: CONN, by: Side::Us, peer: None });
        self.finish_silently()
    }

    /// The half-close towards a peer that has ended before.
    pub fn finish_silently(&mut self) -> Result<(), Failure> {
        let finished = self.writer.finish();
        finished.map_err(|e| Failure::new(Phase::Shutdown, &self.facts.peer, e))
    }

    /// Waits until the peer's kernel has everything.
    ///
    /// Fails at [`Stage::Send`] with 18 if the peer is gone without it, or when the cord is
    /// pulled before.
    pub fn wait_acked(&self, received: u64, stop: &Shutdown) -> Result<(), Failure> {
        loop {
            // In this order: a Unix socket's bytes vanish with its peer, which has told an error.
            let waiting = self.hangup.unacked_bytes();
            if let Ok(Some(e)) = self.hangup.socket().take_error()
                && self.sent > 0
                && !self.failed_on_close_only()
            {
                return Err(self.unsent(e, received));
            }
            let is_over = self.hangup.is_closed() && !self.hangup.unacknowledged(self.sent);
            if waiting == 0 || is_over {
                return Ok(());
            }
            let next = stop.wait_any(&mut [], Some(Instant::now() + LOOK));
            if let Ok(WaitOutcome::Shutdown(reason)) = next {
                return Err(Failure::shutdown(Phase::Send, &self.facts.peer, reason));
            }
        }
    }

    /// After the peer's goodbye a reset is what our own gets from one who has closed by then.
    fn failed_on_close_only(&self) -> bool {
        self.has_tls_close && !self.hangup.unacknowledged(self.sent)
    }

    fn unsent(&self, e: io::Error, received: u64) -> Failure {
        let by_peer = matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
        let begun = self.sent > 0 || received > 0;
        if LayerError::of(&e).is_some() {
            return Failure::new(Phase::Send, &self.facts.peer, e).with_code(ExitCode::Partial);
        }
        let failure = match begun {
            true => {
                let why = format!("{} after {} bytes", message_without_errno(&e), self.sent);
                Failure::new(Phase::Send, &self.facts.peer, why)
            }
            false => Failure::new(Phase::Send, &self.facts.peer, e),
        };
        if by_peer || begun { failure.with_code(ExitCode::Partial) } else { failure }
    }
}
