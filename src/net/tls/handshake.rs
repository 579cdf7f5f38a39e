//! The TLS handshake, on the thread of the connection and within its own time limit.

use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustls::{Connection, Error};

use super::records::RecordBuffer;
use super::state::send_some;
use super::stream::split;
use super::verify_error::VerifyError;
use super::{OnTruncation, describe};
use crate::error::{Failure, Phase};
use crate::net::layer::HandshakeContext;
use crate::net::stream::Stream;

/// A handshake in progress.
pub(super) struct Handshake<'a> {
    pub stream: Stream,
    pub connection: Connection,
    pub context: &'a HandshakeContext<'a>,
    pub records: RecordBuffer,
    /// The hint for a peer that sends plain text, and for a server that sends nothing at all.
    pub plain_hint: &'static str,
}

/// Why a handshake failed.
pub(super) enum HandshakeError {
    /// The connection, or the time limit.
    Io(Failure),
    /// TLS itself; an alert was sent if possible.
    Tls(Error),
}

impl From<Failure> for HandshakeError {
    fn from(failure: Failure) -> HandshakeError {
        HandshakeError::Io(failure)
    }
}

impl Handshake<'_> {
    /// Performs the handshake.
    pub fn complete(&mut self) -> Result<(), HandshakeError> {
        // The answer to the peer's last flight must not wait for its acknowledgement (Nagle).
        let _ = self.stream.handle.socket().set_tcp_nodelay(true);
        self.flush()?;
        while self.connection.is_handshaking() {
            let is_first = self.records.is_new();
            self.receive()?;
            let is_tls = if is_first { self.check_greeting() } else { Ok(()) };
            let fed = self.records.feed_handshake(&mut self.connection);
            // A failure has queued an alert, which carries the reason to the peer, even one that sends
            // plain text.
            let flushed = self.flush();
            is_tls?;
            fed.map_err(HandshakeError::Tls)?;
            flushed?;
        }
        Ok(())
    }

    /// Receives the peer's verdict on the client certificate, if it sends one within `limit`. In TLS
    /// 1.3 it arrives only after the client's side of the handshake is complete: an alert, or session
    /// tickets.
    pub fn await_client_cert_result(&mut self, limit: Duration) -> Result<(), HandshakeError> {
        if self.records.unread().is_empty() {
            let context = self.context.until(Instant::now().checked_add(limit));
            if context.wait(Phase::Tls, self.stream.handle.socket(), PollFlags::IN).is_ok() {
                self.receive()?;
                self.records.feed_handshake(&mut self.connection).map_err(HandshakeError::Tls)?;
            }
        }
        Ok(())
    }

    /// The stream after a completed handshake.
    pub fn into_stream(self, on_truncation: OnTruncation) -> Stream {
        split(self.stream, self.connection, self.records, on_truncation)
    }

    /// Closes the stream after `error`; `verify_error` is that of the peer's certificate.
    pub fn fail(self, error: HandshakeError, verify_error: Option<VerifyError>) -> Failure {
        let failure = match error {
            HandshakeError::Io(failure) => failure,
            HandshakeError::Tls(error) => {
                describe::failure(&error, &self.context.target, verify_error)
            }
        };
        if !failure.timed_out() {
            self.linger_close();
        }
        failure
    }

    fn receive(&mut self) -> Result<(), Failure> {
        loop {
            let socket = self.stream.handle.socket();
            let ready = self.context.wait(Phase::Tls, socket, PollFlags::IN);
            ready.map_err(|e| if e.timed_out() { self.with_silent_hint(e) } else { e })?;
            match self.stream.reader.read(self.records.space()) {
                Ok(0) => return Err(self.ended()),
                Ok(n) => {
                    self.records.filled(n);
                    return Ok(());
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.with_silent_hint(self.failed(e))),
            }
        }
    }

    /// Adds the hint for a server that has sent nothing.
    fn with_silent_hint(&self, failure: Failure) -> Failure {
        match &self.connection {
            Connection::Client(_) if self.records.is_new() => failure.with_hint(self.plain_hint),
            _ => failure,
        }
    }

    /// The peer has closed: an error of the system's kind, which [`Failure::is_peer_close`] checks.
    fn ended(&self) -> Failure {
        let why = "the peer ended the connection during the handshake";
        self.with_silent_hint(self.failed(io::Error::new(ErrorKind::UnexpectedEof, why)))
    }

    fn failed(&self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
        Failure::new(Phase::Tls, &self.context.target, cause)
    }

    /// The first byte shows whether the peer speaks TLS (RFC 8446 §5.1).
    fn check_greeting(&self) -> Result<(), Failure> {
        let received = self.records.unread();
        match received {
            [0x14..=0x17, 0x03, ..] | [0x14..=0x17] | [] => Ok(()),
            _ => {
                let begin = String::from_utf8_lossy(&received[..received.len().min(24)]);
                let why = format!("the peer does not speak TLS: it sends '{begin}'");
                Err(self.failed(why).with_hint(self.plain_hint))
            }
        }
    }

    /// Sends all queued records, waiting for room until the handshake times out.
    fn flush(&mut self) -> Result<(), Failure> {
        let socket = self.stream.handle.socket();
        loop {
            match send_some(&mut self.connection, socket) {
                Ok(true) => return Ok(()),
                Ok(false) => self.context.wait(Phase::Tls, socket, PollFlags::OUT)?,
                Err(e) => return Err(self.failed(e)),
            }
        }
    }

    /// Closes the connection without a reset that would destroy the alert: what the peer still sends
    /// is read for a moment, within the time limit of the handshake.
    fn linger_close(mut self) {
        const LINGER: Duration = Duration::from_millis(500);
        if self.stream.handle.left_unread() {
            return self.stream.handle.abort();
        }
        let _ = self.stream.writer.half_close();
        let context = self.context.until(Instant::now().checked_add(LINGER));
        let mut rest = [0; 4096];
        for _ in 0..16 {
            let ready = context.wait(Phase::Tls, self.stream.handle.socket(), PollFlags::IN);
            if ready.is_err() || !matches!(self.stream.reader.read(&mut rest), Ok(1..)) {
                return;
            }
        }
    }
}
