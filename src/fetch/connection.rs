//! The connection of one exchange.

mod send;
mod wait;

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::limits::Limits;
use crate::error::Failure;
use crate::http::StreamEnd;
use crate::net::stream::{EndedBy, Stream};
use crate::net::stream_observer::Observation;
use crate::shutdown::Shutdown;

/// How long close_notify may wait for space.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// The outcome of one read.
#[derive(Debug)]
pub enum ReadOutcome {
    Bytes(usize),
    End(StreamEnd),
    Error(io::Error),
}

pub struct HttpConnection {
    pub stream: Stream,
    /// Its name in errors.
    pub target: String,
    pub limits: Limits,
    /// Ends each wait.
    pub shutdown: Shutdown,
    /// Standard output, where its reader may exit while nothing is received.
    pub stdout: Option<BorrowedFd<'static>>,
    /// Why the request could not be sent.
    pub send_error: Option<io::Error>,
    /// Bytes received above all layers.
    pub bytes_in: u64,
    /// Bytes sent above all layers.
    pub bytes_out: u64,
    pub first_byte: Option<Instant>,
    pub ended_by: EndedBy,
}

impl HttpConnection {
    /// A connection over `stream`, called `target` in errors.
    pub fn new(
        stream: Stream,
        target: String,
        limits: Limits,
        shutdown: Shutdown,
    ) -> HttpConnection {
        HttpConnection {
            stream,
            target,
            limits,
            shutdown,
            stdout: None,
            send_error: None,
            bytes_in: 0,
            bytes_out: 0,
            first_byte: None,
            ended_by: EndedBy::Local,
        }
    }

    /// The socket, if body bytes may be moved from it by the kernel.
    pub fn plain_fd(&self) -> Option<BorrowedFd<'_>> {
        let reader = &self.stream.reader;
        let is_plain = self.limits.throttle.is_none() && reader.observation() == Observation::None;
        reader.plain_fd().filter(|_| is_plain)
    }

    /// Whether the stream ended without close_notify, but not inside a TLS record.
    pub fn ended_between_records(&self) -> bool {
        self.stream.handle.is_truncated()
    }

    /// Whether the peer's system has acknowledged only a part of the request; for a connection that
    /// has broken.
    pub fn is_partly_delivered(&self) -> bool {
        let acked = self.stream.handle.acknowledged();
        acked.is_some_and(|acked| (1..self.bytes_out).contains(&acked))
    }

    /// Closes the connection; a TLS layer sends close_notify.
    pub fn close(&mut self) {
        if self.stream.info.is_encrypted {
            let _ = self.stream.handle.limit_waits(Some(CLOSE_TIMEOUT));
            let _ = self.stream.writer.half_close();
        }
        self.stream.handle.observe_close();
    }

    /// Reads the next bytes.
    ///
    /// Fails at [`Phase::Receive`] when a limit is exceeded or the run is shut down, at
    /// [`Phase::Stdout`] when the reader of stdout is gone.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<ReadOutcome, Failure> {
        let mut max = buffer.len();
        if let Some(throttle) = &mut self.limits.throttle {
            max = max.min(throttle.chunk_size());
            let delay = throttle.delay();
            self.shutdown.sleep(delay).map_err(|reason| self.stopped(reason))?;
        }
        let received = loop {
            self.wait_readable()?;
            match self.stream.reader.read(&mut buffer[..max]) {
                // A record of a layer had no data.
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                received => break received,
            }
        };
        Ok(self.count(received))
    }

    /// Counts what was received, and stores how the connection ended.
    fn count(&mut self, received: io::Result<usize>) -> ReadOutcome {
        match received {
            Ok(0) => {
                // A peer that refused the request did not end the stream properly.
                let is_refused = self.send_error.is_some();
                self.ended_by = if is_refused { EndedBy::Reset } else { EndedBy::Peer };
                let is_truncated = self.stream.handle.is_truncated();
                ReadOutcome::End(if is_truncated { StreamEnd::Truncated } else { StreamEnd::Clean })
            }
            Ok(n) => {
                self.bytes_in += n as u64;
                if let Some(throttle) = &mut self.limits.throttle {
                    throttle.count(n);
                }
                self.first_byte.get_or_insert_with(Instant::now);
                ReadOutcome::Bytes(n)
            }
            Err(e) => {
                self.ended_by = EndedBy::Reset;
                ReadOutcome::Error(e)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;
    use crate::error::{ExitCode, Phase};
    use crate::fetch::options::LimitOptions;
    use crate::net::stream::Reader;
    use crate::shutdown::ShutdownReason;

    /// A reader whose descriptor is hidden, as under TLS.
    struct Layered(Box<dyn Reader>);

    impl Read for Layered {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Reader for Layered {}

    /// Whether a stream has a layer.
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Plain,
        Layered,
    }

    fn connection(kind: Kind, idle_timeout: Option<Duration>) -> (HttpConnection, UnixStream) {
        let (ours, peer) = UnixStream::pair().unwrap();
        let mut stream = Stream::from_socket(ours.into()).unwrap();
        if kind == Kind::Layered {
            stream.reader = Box::new(Layered(stream.reader));
        }
        let limits = LimitOptions { idle_timeout, max_rate: None, min_rate: None };
        let shutdown = Shutdown::new(None).unwrap();
        let limits = Limits::new(&limits);
        (HttpConnection::new(stream, "peer".into(), limits, shutdown), peer)
    }

    #[test]
    fn read_returns_bytes_then_the_end() {
        for kind in [Kind::Plain, Kind::Layered] {
            let (mut connection, mut peer) = connection(kind, None);
            peer.write_all(b"abc").unwrap();
            let mut buffer = [0; 9];
            assert!(matches!(connection.receive(&mut buffer), Ok(ReadOutcome::Bytes(3))));
            drop(peer);
            assert!(matches!(
                connection.receive(&mut buffer),
                Ok(ReadOutcome::End(StreamEnd::Clean))
            ));
            assert_eq!((connection.bytes_in, connection.ended_by), (3, EndedBy::Peer));
            connection.close();
        }
    }

    #[test]
    fn silent_peer_is_a_timeout_at_its_phase() {
        for kind in [Kind::Plain, Kind::Layered] {
            let limit = Some(Duration::from_millis(20));
            let (mut receiving, _peer) = connection(kind, limit);
            let failure = receiving.receive(&mut [0; 9]).unwrap_err();
            assert_eq!((failure.phase, failure.code), (Phase::Receive, ExitCode::Timeout));
            let (mut connection, _peer) = connection(kind, limit);
            let failure = connection.send(&vec![0; 16 << 20]).unwrap_err();
            assert_eq!((failure.phase, failure.code), (Phase::Send, ExitCode::Timeout));
            assert_eq!(connection.ended_by, EndedBy::Timeout);
        }
    }

    #[test]
    fn shutdown_ends_a_blocked_read() {
        for kind in [Kind::Plain, Kind::Layered] {
            let (mut connection, _peer) = connection(kind, None);
            let shutdown = connection.shutdown.clone();
            let ender = thread::spawn(move || shutdown.trigger(ShutdownReason::Terminate));
            let failure = connection.receive(&mut [0; 9]).unwrap_err();
            assert_eq!(failure.code, ExitCode::Terminated);
            assert_eq!(connection.ended_by, EndedBy::Signal);
            ender.join().unwrap();
        }
    }

    #[test]
    fn request_ends_where_the_peer_responds_early() {
        let (mut connection, mut peer) = connection(Kind::Plain, None);
        peer.write_all(b"HTTP/1.1 413 No\r\n\r\n").unwrap();
        connection.send(&vec![0; 16 << 20]).unwrap();
        assert!(connection.bytes_out < 16 << 20);
        assert!(connection.send_failure().is_none());
    }

    #[test]
    fn refused_request_has_the_error_of_the_send() {
        let (mut connection, peer) = connection(Kind::Plain, None);
        drop(peer);
        connection.send(b"GET").unwrap();
        let failure = connection.send_failure().unwrap();
        assert_eq!((failure.phase, failure.errno()), (Phase::Receive, Some(libc::EPIPE)));
    }
}
