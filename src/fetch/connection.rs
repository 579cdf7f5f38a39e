//! An established connection with timeouts: no wait outlasts the idle timeout, the shutdown of the
//! run, or the reader of stdout.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::limits::Limits;
use crate::error::{Failure, Phase};
use crate::http::StreamEnd;
use crate::net::stream::{EndedBy, Stream};
use crate::net::stream_observer::Observation;
use crate::shutdown::{Shutdown, ShutdownReason, WaitOutcome};

/// How long close_notify may wait for space.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// How long to wait for the response of a peer that refused the request: after its reset only what
/// the kernel already has can follow.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(1);

/// The outcome of one read.
#[derive(Debug)]
pub enum ReadOutcome {
    /// So many bytes.
    Bytes(usize),
    /// The stream ended.
    End(StreamEnd),
    /// The connection broke.
    Error(io::Error),
}

/// The connection of one exchange.
pub struct HttpConnection {
    /// The stream.
    pub stream: Stream,
    /// Its name in errors.
    pub target: String,
    /// Its time and speed limits.
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
    /// When the first byte was received.
    pub first_byte: Option<Instant>,
    /// What ended the connection.
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
    pub fn raw(&self) -> Option<BorrowedFd<'_>> {
        let reader = &self.stream.reader;
        let is_plain = self.limits.throttle.is_none() && reader.observation() == Observation::None;
        reader.raw().filter(|_| is_plain)
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
            let _ = self.stream.writer.finish();
        }
        self.stream.handle.observe_close();
    }

    /// Reads the next bytes.
    ///
    /// Fails at [`Phase::Receive`] when a limit is exceeded or the run is shut down, at
    /// [`Phase::Stdout`] when the reader of stdout is gone.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<ReadOutcome, Failure> {
        let max = self.throttle()?.min(buffer.len());
        loop {
            self.wait_readable()?;
            let received = match self.stream.reader.read(&mut buffer[..max]) {
                Ok(0) if self.stream.handle.is_truncated() => {
                    ReadOutcome::End(StreamEnd::Truncated)
                }
                Ok(0) => ReadOutcome::End(StreamEnd::Clean),
                Ok(n) => ReadOutcome::Bytes(n),
                // A record of a layer had no data.
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => ReadOutcome::Error(e),
            };
            self.count(&received);
            return Ok(received);
        }
    }

    /// Waits until `--rate` allows more bytes. Returns how many may be received next.
    fn throttle(&mut self) -> Result<usize, Failure> {
        let Some(throttle) = &mut self.limits.throttle else { return Ok(usize::MAX) };
        let (delay, max) = (throttle.delay(), throttle.chunk_size());
        if !delay.is_zero() {
            self.shutdown.sleep(delay).map_err(|reason| self.stopped(reason))?;
        }
        Ok(max)
    }

    /// Counts what was received, and stores how the connection ended.
    pub fn count(&mut self, received: &ReadOutcome) {
        match received {
            ReadOutcome::Bytes(n) => {
                self.bytes_in += *n as u64;
                if let Some(throttle) = &mut self.limits.throttle {
                    throttle.count(*n);
                }
                self.first_byte.get_or_insert_with(Instant::now);
            }
            // A peer that refused the request did not end the stream properly.
            ReadOutcome::End(_) if self.send_error.is_none() => self.ended_by = EndedBy::Peer,
            _ => self.ended_by = EndedBy::Reset,
        }
    }

    /// Waits until data or the end of the stream arrives.
    pub fn wait_readable(&mut self) -> Result<(), Failure> {
        // Before the deadline is set, so that a wait up to it is never counted as shorter.
        let now = Instant::now();
        let deadline = self.deadline()?;
        let reader = &self.stream.reader;
        if reader.raw().is_none() && reader.is_ready() {
            let reason = self.shutdown.reason();
            return reason.map_or(Ok(()), |reason| Err(self.stopped(reason)));
        }
        let mut fds = vec![PollFd::new(self.stream.handle.socket(), PollFlags::IN)];
        let stdout = self.stdout;
        fds.extend(stdout.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
        let outcome = self.shutdown.wait_any(&mut fds, deadline);
        let stdout_closed = fds.get(1).is_some_and(|fd| fd.revents().contains(PollFlags::ERR));
        self.limits.add_wait(now);
        match outcome {
            Ok(WaitOutcome::Ready(_)) if stdout_closed => Err(broken_pipe()),
            Ok(WaitOutcome::Ready(_)) => Ok(()),
            Ok(WaitOutcome::TimedOut) => Err(self.timed_out(Phase::Receive)),
            Ok(WaitOutcome::Shutdown(reason)) => Err(self.stopped(reason)),
            Err(e) => Err(Failure::new(Phase::Receive, &self.target, e)),
        }
    }

    /// The end of the next wait for the peer.
    ///
    /// Fails at [`Phase::Receive`] with 28 when it has been slower than `--speed-limit`.
    fn deadline(&mut self) -> Result<Option<Instant>, Failure> {
        let is_refused = self.send_error.is_some();
        let limit = if is_refused { Some(REFUSED_TIMEOUT) } else { self.limits.idle_timeout };
        let speed = self.limits.remaining_wait(self.bytes_in);
        if speed == Some(Duration::ZERO) {
            return Err(self.timed_out(Phase::Receive));
        }
        let shorter = limit.into_iter().chain(speed).min();
        Ok(shorter.and_then(|limit| Instant::now().checked_add(limit)))
    }

    /// Waits, without a timeout, until `output`, a full pipe, has space again.
    pub fn wait_output_writable(&mut self, output: BorrowedFd<'_>) -> Result<(), Failure> {
        match self.shutdown.wait(output, PollFlags::OUT, None) {
            Ok(WaitOutcome::Ready(found)) if found.contains(PollFlags::ERR) => Err(broken_pipe()),
            Ok(WaitOutcome::Shutdown(reason)) => Err(self.stopped(reason)),
            Ok(_) => Ok(()),
            Err(e) => Err(Failure::new(Phase::Stdout, "-", e)),
        }
    }

    /// The failure of a wait at `phase` that took too long.
    pub fn timed_out(&mut self, phase: Phase) -> Failure {
        if let Some(e) = self.send_error.take() {
            self.ended_by = EndedBy::Reset;
            return self.refused(Phase::Send, e);
        }
        self.ended_by = EndedBy::Timeout;
        let is_slow = phase == Phase::Receive
            && self.limits.remaining_wait(self.bytes_in) == Some(Duration::ZERO);
        match self.limits.min_speed.as_ref().filter(|_| is_slow) {
            Some(speed) => speed.failure(&self.target),
            None => {
                Failure::timeout(phase, &self.target, self.limits.idle_timeout.unwrap_or_default())
            }
        }
    }

    fn stopped(&mut self, reason: ShutdownReason) -> Failure {
        self.ended_by = EndedBy::from(reason);
        Failure::shutdown(Phase::Receive, &self.target, reason)
    }
}

/// The failure of a write to stdout whose reader is gone.
fn broken_pipe() -> Failure {
    Failure::new(Phase::Stdout, "-", io::Error::from_raw_os_error(libc::EPIPE))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;
    use crate::error::ExitCode;
    use crate::fetch::options::LimitOptions;
    use crate::net::stream::Reader;

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
