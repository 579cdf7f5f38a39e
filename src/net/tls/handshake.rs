//! The handshake itself, on the connection's own thread and within its own time.

use std::io::Read;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustls::{Connection, Error};

use super::describe;
use super::finding::Finding;
use super::stream;
use super::stream::RecordBuffer;
use crate::error::{Failure, Phase};
use crate::net::layer::HandshakeContext;
use crate::net::stream::Stream;
use crate::shutdown::earliest;

/// Where a handshake begins and its bytes go.
pub(super) struct Handshake<'a, 'b> {
    pub(super) stream: &'a mut Stream,
    pub(super) talk: &'a HandshakeContext<'b>,
    pub(super) intake: RecordBuffer,
    /// What is said to somebody who speaks plain text to us.
    pub(super) plain_hint: &'static str,
    /// What is said when our greeting gets no answer at all.
    pub(super) mute_hint: Option<&'static str>,
}

/// What broke a handshake off.
pub(super) enum HandshakeError {
    /// The connection, or the time.
    Io(Failure),
    /// TLS itself; the peer has been told if it could be.
    Tls(Error),
}

impl From<Failure> for HandshakeError {
    fn from(failure: Failure) -> HandshakeError {
        HandshakeError::Io(failure)
    }
}

impl Handshake<'_, '_> {
    /// Goes on until both sides have said everything.
    pub(super) fn complete(&mut self, connection: &mut Connection) -> Result<(), HandshakeError> {
        // Our answer to the peer's last flight must not wait for its acknowledgement (Nagle).
        let _ = self.stream.hangup.socket().set_tcp_nodelay(true);
        self.flush(connection)?;
        let mut first = true;
        while connection.is_handshaking() {
            self.receive()?;
            let is_tls = if std::mem::take(&mut first) { self.check_greeting() } else { Ok(()) };
            let fed = self.intake.feed_handshake(connection);
            // Trouble has made an alert, which is what the peer needs to understand us, even a
            // peer who speaks plain text.
            let flushed = self.flush(connection);
            is_tls?;
            fed.map_err(HandshakeError::Tls)?;
            flushed?;
        }
        Ok(())
    }

    /// Hears whether the peer takes the certificate we have shown. In TLS 1.3 it says so only
    /// after our side of the handshake is done; its tickets, if it sends any, say yes.
    pub(super) fn await_client_cert_result(
        &mut self,
        connection: &mut Connection,
    ) -> Result<(), HandshakeError> {
        self.receive()?;
        self.intake.feed_handshake(connection).map_err(HandshakeError::Tls)
    }

    fn receive(&mut self) -> Result<(), Failure> {
        loop {
            let socket = self.stream.hangup.socket();
            let ready = self.talk.wait(Phase::Tls, socket, PollFlags::IN);
            ready.map_err(|late| if late.timed_out() { self.hinted(late) } else { late })?;
            match self.stream.reader.read(self.intake.space()) {
                Ok(0) => return Err(self.ended()),
                Ok(n) => {
                    self.intake.filled(n);
                    return Ok(());
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.hinted(Failure::new(Phase::Tls, &self.talk.target, e))),
            }
        }
    }

    /// With a hint, if nothing has ever come.
    fn hinted(&self, failure: Failure) -> Failure {
        match self.mute_hint.filter(|_| self.intake.is_new()) {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }

    fn ended(&self) -> Failure {
        let why = "the peer ended the connection during the handshake";
        self.hinted(Failure::new(Phase::Tls, &self.talk.target, why))
    }

    /// Somebody who does not speak TLS is told apart by the first byte (RFC 8446 §5.1).
    fn check_greeting(&self) -> Result<(), Failure> {
        let came = self.intake.waiting();
        match came {
            [0x14..=0x17, 0x03, ..] | [0x14..=0x17] | [] => Ok(()),
            _ => {
                let begin = String::from_utf8_lossy(&came[..came.len().min(24)]);
                let why = format!("the peer does not speak TLS: it says '{begin}'");
                Err(Failure::new(Phase::Tls, &self.talk.target, why).with_hint(self.plain_hint))
            }
        }
    }

    /// Sends what TLS has to say, waiting for room no longer than the handshake may take.
    fn flush(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        let socket = self.stream.hangup.socket();
        loop {
            match stream::send_some(connection, socket) {
                Ok(true) => return Ok(()),
                Ok(false) => self.talk.wait(Phase::Tls, socket, PollFlags::OUT)?,
                Err(e) => return Err(Failure::new(Phase::Tls, &self.talk.target, e)),
            }
        }
    }
}

/// Leaves a connection whose handshake failed so that our alert is not destroyed by a reset: what
/// the peer still sends is read for a moment, if the handshake's own time has one left.
pub(super) fn linger_close(mut stream: Stream, talk: &HandshakeContext<'_>) {
    const MOMENT: Duration = Duration::from_millis(500);
    if stream.hangup.left_unread() {
        return stream.hangup.abort();
    }
    let _ = stream.writer.finish();
    let until = earliest(talk.until, Instant::now().checked_add(MOMENT));
    let talk = HandshakeContext { target: talk.target.clone(), until, ..*talk };
    let mut rest = [0; 4096];
    for _ in 0..16 {
        let ready = talk.wait(Phase::Tls, stream.hangup.socket(), PollFlags::IN);
        if ready.is_err() || !matches!(stream.reader.read(&mut rest), Ok(1..)) {
            return;
        }
    }
}

impl HandshakeError {
    /// As the failure it is; `finding` is what the judge of certificates has to say.
    pub(super) fn failure(self, whom: &str, finding: Option<Finding>) -> Failure {
        match self {
            HandshakeError::Io(failure) => failure,
            HandshakeError::Tls(error) => describe::failure(&error, whom, finding),
        }
    }
}
