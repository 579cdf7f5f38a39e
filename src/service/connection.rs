//! One accepted peer, as a service sees it.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use crate::error::{ExitCode, Failure, LayerError, Phase};
use crate::net::activity::Activity;
use crate::net::stdio::NullStream;
use crate::net::stream::{ConnectionHandle, ConnectionInfo, EndedBy, Reader, Stream};
use crate::shutdown::{Shutdown, ShutdownReason};

/// How much a peer may still send while we wait for it to close, and for how long: enough for what
/// was under way, not enough to keep us.
const LAST_WORDS: usize = 1 << 20;
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Who hears that a side, the peer or we, sends no more.
pub type HalfCloseHook = Box<dyn Fn(EndedBy) + Send + Sync>;

/// A connected peer: receives, sends, counts, and takes leave so that nothing sent is lost.
pub struct Connection {
    /// Counts connections of this run from 1.
    pub conn: u64,
    /// Both halves, for services that need them apart.
    pub stream: Stream,
    /// Bytes received so far.
    pub bytes_in: u64,
    /// Bytes sent so far.
    pub bytes_out: u64,
    /// The run's cord.
    pub stop: Shutdown,
    /// Whether we wait with nothing owed.
    pub activity: Activity,
    /// Hears which side sends no more, each once.
    pub news: Option<HalfCloseHook>,
    /// Whether the peer has said that it will send no more.
    peer_eof: bool,
    /// Whether the first bytes look like the opening of a TLS handshake (RFC 8446 §5.1).
    pub saw_tls_hello: bool,
}

impl Connection {
    /// The peer of connection `conn`, not yet spoken to.
    pub fn new(conn: u64, stream: Stream, activity: Activity, stop: Shutdown) -> Connection {
        Connection {
            conn,
            stream,
            bytes_in: 0,
            bytes_out: 0,
            stop,
            activity,
            news: None,
            peer_eof: false,
            saw_tls_hello: false,
        }
    }

    /// A side sends no more: told, unless the end is our own doing from outside.
    pub fn half_closed(&self, by: EndedBy) {
        half_closed(&self.news, &self.stream.hangup, by);
    }

    /// What is known about the connection.
    pub fn facts(&self) -> &ConnectionInfo {
        &self.stream.facts
    }

    /// Waits for bytes; 0 is the end of what the peer has to say.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let first = self.bytes_in == 0;
        let n = self.receive_by(buffer, |reader, buffer| reader.read(buffer))?;
        self.saw_tls_hello |= first && buffer.starts_with(&[0x16, 3]) && n > 4;
        Ok(n)
    }

    /// As [`Connection::receive`], for bytes that nobody wants to see; `unseen` says how many at most.
    pub fn skip(&mut self, unseen: &mut [u8]) -> Result<usize, Failure> {
        self.receive_by(unseen, |reader, unseen| reader.skip(unseen))
    }

    fn receive_by(
        &mut self,
        buffer: &mut [u8],
        read: impl Fn(&mut dyn Reader, &mut [u8]) -> io::Result<usize>,
    ) -> Result<usize, Failure> {
        let reader = self.stream.reader.as_mut();
        let received = self.activity.while_waiting(|| {
            loop {
                match read(reader, buffer) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    done => return done,
                }
            }
        });
        match received {
            Ok(n) => {
                if self.bytes_in == 0 && n > 0 {
                    self.activity.set_received();
                }
                self.bytes_in += n as u64;
                if n == 0 && !buffer.is_empty() && !self.peer_eof {
                    self.peer_eof = true;
                    self.half_closed(EndedBy::Peer);
                }
                Ok(n)
            }
            Err(e) => Err(self.receive_failed(e)),
        }
    }

    /// Sends all of `bytes`.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self.stream.writer.write_all(bytes).and_then(|()| self.stream.writer.flush()) {
            Ok(()) => {
                self.bytes_out += bytes.len() as u64;
                Ok(())
            }
            Err(e) => {
                if e.kind() == io::ErrorKind::WouldBlock {
                    // The idle limit cuts an answer short: a clean end would make it look whole.
                    self.stream.hangup.abort();
                }
                Err(self.send_failed(e))
            }
        }
    }

    /// Says that we send no more, then hears the peer out for a moment: closing a socket with
    /// unread data resets it and can destroy what the peer has not yet read.
    ///
    /// When the run ends, a request that arrived after the last read is answered by a reset.
    pub fn close_gracefully(&mut self) -> Result<(), Failure> {
        let hangup = &self.stream.hangup;
        if hangup.left_unread() {
            hangup.abort();
            let reason = self.stop.reason().unwrap_or(ShutdownReason::Terminate);
            return Err(Failure::shutdown(Phase::Receive, &self.stream.facts.peer, reason));
        }
        // Without a layer a close is enough: in one step it looks for unread bytes and sends a
        // FIN or, if there are any, a reset (tcp(7), unix(7)).
        if hangup.closed_locally() && self.stream.writer.raw().is_some() {
            return Ok(());
        }
        match self.stream.writer.finish() {
            // The peer is gone altogether: there is nobody to tell.
            Err(e) if e.kind() == io::ErrorKind::NotConnected => return Ok(()),
            Err(e) => return Err(Failure::new(Phase::Shutdown, &self.stream.facts.peer, e)),
            Ok(()) => {}
        }
        if !self.peer_eof {
            self.half_closed(EndedBy::Us);
            self.drain_peer();
        }
        Ok(())
    }

    /// Both halves, for a service that gives each to a thread of its own. The guest keeps the
    /// facts and the hangup, and can neither receive nor send any more.
    pub fn take_stream(&mut self) -> Stream {
        Stream {
            reader: std::mem::replace(&mut self.stream.reader, Box::new(NullStream)),
            writer: std::mem::replace(&mut self.stream.writer, Box::new(NullStream)),
            hangup: self.stream.hangup.clone(),
            facts: self.stream.facts.clone(),
        }
    }

    /// Reads what the peer still sends, and drops it. The buffer is on the heap: on the stack it would
    /// cost every connection a page.
    fn drain_peer(&mut self) {
        let until = Instant::now() + LAST_WAIT;
        let _ = self.stream.hangup.limit_waits(Some(LAST_WAIT));
        let mut buffer = vec![0; 4096];
        let mut heard = 0;
        while heard < LAST_WORDS && Instant::now() < until {
            let reader = &mut self.stream.reader;
            match self.activity.while_waiting(|| reader.read(&mut buffer)) {
                Ok(0) | Err(_) => return,
                Ok(n) => heard += n,
            }
        }
    }

    /// Who ended it, when the peer's stream has ended.
    pub fn ended_by(&self) -> EndedBy {
        match self.stream.hangup.closed_locally() {
            true => EndedBy::Signal,
            false => EndedBy::Peer,
        }
    }

    /// What a failed receive means: code 28 for the idle limit, 18 once bytes had come.
    pub fn receive_failed(&self, error: io::Error) -> Failure {
        let peer = &self.stream.facts.peer;
        match error.kind() {
            io::ErrorKind::WouldBlock => idle(Phase::Receive, peer),
            _ if LayerError::of(&error).is_some() => Failure::new(Phase::Receive, peer, error),
            io::ErrorKind::OutOfMemory => {
                Failure::new(Phase::Receive, peer, error).with_code(ExitCode::Partial)
            }
            _ if self.bytes_in > 0 => {
                let why = format!(
                    "{} after {} bytes",
                    crate::error::message_without_errno(&error),
                    self.bytes_in
                );
                Failure::new(Phase::Receive, peer, why).with_code(ExitCode::Partial)
            }
            _ => Failure::new(Phase::Receive, peer, error),
        }
    }

    /// What a failed send means: what we owed is undelivered, which is 18.
    pub fn send_failed(&self, error: io::Error) -> Failure {
        let peer = &self.stream.facts.peer;
        match error.kind() {
            io::ErrorKind::WouldBlock => idle(Phase::Send, peer),
            _ => Failure::new(Phase::Send, peer, error).with_code(ExitCode::Partial),
        }
    }
}

/// As [`Connection::half_closed`], where the guest's parts are in several hands.
pub fn half_closed(news: &Option<HalfCloseHook>, hangup: &ConnectionHandle, by: EndedBy) {
    if let Some(news) = news
        && (by == EndedBy::Us || !hangup.closed_locally())
    {
        news(by);
    }
}

fn idle(stage: Phase, peer: &dyn std::fmt::Display) -> Failure {
    let why = "nothing moved for the idle limit";
    Failure::new(stage, peer, why).with_code(ExitCode::Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    /// A request that arrives after the last read of a run that ends must not be followed by an
    /// orderly end.
    #[test]
    fn request_after_the_last_read_is_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = Stream::from_socket(listener.accept().unwrap().0.into()).unwrap();
        let stop = Shutdown::new(None).unwrap();
        let mut guest = Connection::new(1, stream, Activity::default(), stop);
        guest.stream.hangup.shutdown_read();
        assert_eq!(guest.read(&mut [0; 8]).unwrap(), 0);
        peer.write_all(b"request").unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while !guest.stream.hangup.left_unread() {
            assert!(Instant::now() < until, "the request arrives");
            std::thread::yield_now();
        }
        let failure = guest.close_gracefully().unwrap_err();
        assert_eq!(failure.code, ExitCode::Terminated);
        drop(guest);
        peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let end = peer.read(&mut [0; 8]).map_err(|e| e.kind());
        assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
    }
}
