//! One accepted connection, with what a service may do with it.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use crate::error::{Failure, Phase};
use crate::net::activity::Activity;
use crate::net::stream::{ConnectionHandle, ConnectionInfo, EndedBy, Reader, Stream};
use crate::shutdown::{Shutdown, ShutdownReason};

/// How much a peer may still send after the local end of stream until it closes, in bytes, and for how
/// long: enough for data in flight, not enough to occupy the thread.
const MAX_DRAIN: usize = 1 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Called with the side, the peer or local, that has half-closed.
pub type HalfCloseHook = Box<dyn Fn(EndedBy) + Send + Sync>;

/// A connection: reads, writes, counts bytes, and closes so that nothing that was sent is lost.
pub struct Connection {
    /// Number of the connection in this run, from 1.
    pub conn: u64,
    /// Both halves, for services that use them separately.
    pub stream: Stream,
    /// Bytes received so far.
    pub bytes_in: u64,
    /// Bytes sent so far.
    pub bytes_out: u64,
    /// The shutdown of the run.
    pub shutdown: Shutdown,
    /// Whether the connection is idle.
    pub activity: Activity,
    /// Called when a side half-closes, once for each.
    pub on_half_close: Option<HalfCloseHook>,
    /// Whether the peer's end of stream has been read.
    peer_eof: bool,
    /// Whether the first bytes look like a TLS handshake record (RFC 8446 §5.1).
    pub saw_tls_hello: bool,
}

impl Connection {
    /// Connection `conn`, of which nothing has been read or written.
    pub fn new(conn: u64, stream: Stream, activity: Activity, shutdown: Shutdown) -> Connection {
        Connection {
            conn,
            stream,
            bytes_in: 0,
            bytes_out: 0,
            shutdown,
            activity,
            on_half_close: None,
            peer_eof: false,
            saw_tls_hello: false,
        }
    }

    /// Reports that a side has half-closed, unless the shutdown of the run has ended the input.
    pub fn half_closed(&self, by: EndedBy) {
        half_closed(&self.on_half_close, &self.stream.handle, by);
    }

    /// What is known about the connection.
    pub fn info(&self) -> &ConnectionInfo {
        &self.stream.info
    }

    /// Reads at least one byte; 0 is the end of the stream.
    ///
    /// Fails as described at [`Connection::receive_failed`].
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let first = self.bytes_in == 0;
        let n = self.read_with(buffer, |reader, buffer| reader.read(buffer))?;
        self.saw_tls_hello |= first && buffer.starts_with(&[0x16, 3]) && n > 4;
        Ok(n)
    }

    /// As [`Connection::read`], for at most `buffer.len()` bytes that are discarded; the contents of
    /// `buffer` are unspecified afterwards.
    pub fn skip(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        self.read_with(buffer, |reader, buffer| reader.skip(buffer))
    }

    fn read_with(
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
    ///
    /// Fails as described at [`Connection::send_failed`].
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self.stream.writer.write_all(bytes).and_then(|()| self.stream.writer.flush()) {
            Ok(()) => {
                self.bytes_out += bytes.len() as u64;
                Ok(())
            }
            Err(e) => {
                if e.kind() == io::ErrorKind::WouldBlock {
                    // The reply is truncated: an orderly close would make it look complete.
                    self.stream.handle.abort();
                }
                Err(self.send_failed(e))
            }
        }
    }

    /// Sends end of stream, then reads and discards what the peer still sends, for at most
    /// `DRAIN_TIMEOUT`: closing a socket with unread data resets it, and the reset can destroy
    /// data that the peer has not read yet (RFC 9112 §9.6).
    ///
    /// When the run is shut down and a request arrived after the last read, the connection is reset
    /// instead. Returns what ended the connection, where it was the peer's end of stream. Fails at
    /// [`Phase::Receive`] then, or at [`Phase::Shutdown`].
    pub fn close_gracefully(&mut self) -> Result<EndedBy, Failure> {
        let by = self.ended_by();
        let handle = &self.stream.handle;
        if handle.left_unread() {
            tracing::debug!("unanswered request at shutdown: reset");
            handle.abort();
            let reason = self.shutdown.reason().unwrap_or(ShutdownReason::Terminate);
            return Err(Failure::shutdown(Phase::Receive, &self.stream.info.peer, reason));
        }
        // Without a layer close(2) is enough: it checks for unread bytes and sends a FIN, or a reset
        // if there are any, in one step (tcp(7), unix(7)).
        if handle.closed_locally() && !self.stream.info.is_encrypted {
            return Ok(by);
        }
        match self.stream.writer.half_close() {
            // The peer has closed both directions already.
            Err(e) if e.kind() == io::ErrorKind::NotConnected => return Ok(by),
            Err(e) => return Err(Failure::new(Phase::Shutdown, &self.stream.info.peer, e)),
            Ok(()) => {}
        }
        tracing::debug!(peer_ended = self.peer_eof, "close: our end of stream is sent");
        if !self.peer_eof {
            self.half_closed(EndedBy::Local);
            self.drain_peer();
        }
        Ok(by)
    }

    /// Moves both halves out, for a service that gives each to a thread of its own. The connection
    /// keeps its information and its handle; it reads end of stream and discards writes from now on.
    pub fn take_stream(&mut self) -> Stream {
        Stream {
            reader: std::mem::replace(&mut self.stream.reader, Box::new(io::empty())),
            writer: std::mem::replace(&mut self.stream.writer, Box::new(io::sink())),
            handle: self.stream.handle.clone(),
            info: self.stream.info.clone(),
        }
    }

    /// Reads and discards what the peer still sends. The buffer is on the heap: on the stack it
    /// would cost every connection a page.
    fn drain_peer(&mut self) {
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        let _ = self.stream.handle.limit_waits(Some(DRAIN_TIMEOUT));
        let mut buffer = vec![0; 4096];
        let mut drained = 0;
        while drained < MAX_DRAIN && Instant::now() < deadline {
            let reader = &mut self.stream.reader;
            match self.activity.while_waiting(|| reader.read(&mut buffer)) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(n) => drained += n,
            }
        }
    }

    /// What ended the connection, once the end of the peer's stream has been read.
    pub fn ended_by(&self) -> EndedBy {
        if self.stream.handle.closed_locally() { EndedBy::Signal } else { EndedBy::Peer }
    }

    /// The failure of a read: code 28 after the idle timeout, 18 once bytes have been received.
    pub fn receive_failed(&self, error: io::Error) -> Failure {
        let peer = &self.stream.info.peer;
        match error.kind() {
            io::ErrorKind::WouldBlock => Failure::idle(Phase::Receive, peer),
            io::ErrorKind::OutOfMemory => Failure::receive(peer, error, self.bytes_in).incomplete(),
            _ => Failure::receive(peer, error, self.bytes_in),
        }
    }

    /// The failure of a write: code 28 after the idle timeout, else 18, because data is undelivered.
    pub fn send_failed(&self, error: io::Error) -> Failure {
        let peer = &self.stream.info.peer;
        match error.kind() {
            io::ErrorKind::WouldBlock => Failure::idle(Phase::Send, peer),
            _ => Failure::send(peer, error, self.bytes_out, self.bytes_in).incomplete(),
        }
    }
}

/// As [`Connection::half_closed`], where several threads use the parts of the connection.
pub fn half_closed(hook: &Option<HalfCloseHook>, handle: &ConnectionHandle, by: EndedBy) {
    if let Some(hook) = hook
        && (by == EndedBy::Local || !handle.closed_locally())
    {
        hook(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;
    use crate::test_run::tcp_pair;

    /// An orderly close would hide that the request has no reply.
    #[test]
    fn request_after_the_last_read_is_reset() {
        let (local, mut peer) = tcp_pair();
        let stream = Stream::from_socket(local).unwrap();
        let shutdown = Shutdown::new(None).unwrap();
        let mut connection = Connection::new(1, stream, Activity::default(), shutdown);
        connection.stream.handle.shutdown_read();
        assert_eq!(connection.read(&mut [0; 8]).unwrap(), 0);
        peer.write_all(b"request").unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !connection.stream.handle.left_unread() {
            assert!(Instant::now() < deadline, "the request arrives");
            std::thread::yield_now();
        }
        let failure = connection.close_gracefully().unwrap_err();
        assert_eq!(failure.code, ExitCode::Terminated);
        drop(connection);
        peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let end = peer.read(&mut [0; 8]).map_err(|e| e.kind());
        assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
    }
}
