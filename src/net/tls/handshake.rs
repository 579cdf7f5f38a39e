//! The TLS handshake, on the thread of the connection and within its own time limit.

use std::io::Read;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustls::{Connection, Error};

use super::describe;
use super::stream;
use super::stream::RecordBuffer;
use super::verify_error::VerifyError;
use crate::error::{Failure, Phase};
use crate::net::layer::HandshakeContext;
use crate::net::stream::Stream;
use crate::shutdown::earliest;

/// A handshake in progress.
pub(super) struct Handshake<'a, 'b> {
    pub(super) stream: &'a mut Stream,
    pub(super) context: &'a HandshakeContext<'b>,
    pub(super) records: RecordBuffer,
    /// The hint for a peer that sends plain text.
    pub(super) plain_hint: &'static str,
    /// The hint for a peer that sends nothing at all.
    pub(super) silent_hint: Option<&'static str>,
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

impl Handshake<'_, '_> {
    /// Performs the handshake.
    pub(super) fn complete(&mut self, connection: &mut Connection) -> Result<(), HandshakeError> {
        // The answer to the peer's last flight must not wait for its acknowledgement (Nagle).
        let _ = self.stream.handle.socket().set_tcp_nodelay(true);
        self.flush(connection)?;
        let mut first = true;
        while connection.is_handshaking() {
            self.receive()?;
            let is_tls = if std::mem::take(&mut first) { self.check_greeting() } else { Ok(()) };
            let fed = self.records.feed_handshake(connection);
            // A failure has queued an alert, which carries the reason to the peer, even one that sends
            // plain text.
            let flushed = self.flush(connection);
            is_tls?;
            fed.map_err(HandshakeError::Tls)?;
            flushed?;
        }
        Ok(())
    }

    /// Receives the peer's verdict on the client certificate. In TLS 1.3 it arrives only after the
    /// client's side of the handshake is complete: an alert, or session tickets.
    pub(super) fn await_client_cert_result(
        &mut self,
        connection: &mut Connection,
    ) -> Result<(), HandshakeError> {
        self.receive()?;
        self.records.feed_handshake(connection).map_err(HandshakeError::Tls)
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
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => {
                    return Err(self.with_silent_hint(Failure::new(
                        Phase::Tls,
                        &self.context.target,
                        e,
                    )));
                }
            }
        }
    }

    /// Adds the hint if nothing was received yet.
    fn with_silent_hint(&self, failure: Failure) -> Failure {
        match self.silent_hint.filter(|_| self.records.is_new()) {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }

    fn ended(&self) -> Failure {
        let why = "the peer ended the connection during the handshake";
        self.with_silent_hint(Failure::new(Phase::Tls, &self.context.target, why))
    }

    /// The first byte shows whether the peer speaks TLS (RFC 8446 §5.1).
    fn check_greeting(&self) -> Result<(), Failure> {
        let received = self.records.unread();
        match received {
            [0x14..=0x17, 0x03, ..] | [0x14..=0x17] | [] => Ok(()),
            _ => {
                let begin = String::from_utf8_lossy(&received[..received.len().min(24)]);
                let why = format!("the peer does not speak TLS: it sends '{begin}'");
                Err(Failure::new(Phase::Tls, &self.context.target, why).with_hint(self.plain_hint))
            }
        }
    }

    /// Sends all queued records, waiting for room until the handshake times out.
    fn flush(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        let socket = self.stream.handle.socket();
        loop {
            match stream::send_some(connection, socket) {
                Ok(true) => return Ok(()),
                Ok(false) => self.context.wait(Phase::Tls, socket, PollFlags::OUT)?,
                Err(e) => return Err(Failure::new(Phase::Tls, &self.context.target, e)),
            }
        }
    }
}

/// Closes a connection after a failed handshake, without a reset that would destroy the alert: what
/// the peer still sends is read for a moment, within the time limit of the handshake.
pub(super) fn linger_close(mut stream: Stream, context: &HandshakeContext<'_>) {
    const LINGER: Duration = Duration::from_millis(500);
    if stream.handle.left_unread() {
        return stream.handle.abort();
    }
    let _ = stream.writer.finish();
    let deadline = earliest(context.deadline, Instant::now().checked_add(LINGER));
    let context = HandshakeContext { target: context.target.clone(), deadline, ..*context };
    let mut rest = [0; 4096];
    for _ in 0..16 {
        let ready = context.wait(Phase::Tls, stream.handle.socket(), PollFlags::IN);
        if ready.is_err() || !matches!(stream.reader.read(&mut rest), Ok(1..)) {
            return;
        }
    }
}

impl HandshakeError {
    /// The failure of the connection to `target`; `verify_error` is that of its certificate.
    pub(super) fn failure(self, target: &str, verify_error: Option<VerifyError>) -> Failure {
        match self {
            HandshakeError::Io(failure) => failure,
            HandshakeError::Tls(error) => describe::failure(&error, target, verify_error),
        }
    }
}
