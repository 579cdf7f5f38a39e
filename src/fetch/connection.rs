//! An established connection with timeouts: no wait outlasts the idle timeout, the shutdown of the
//! run, or the reader of stdout.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::limits::Limits;
use super::read_watchdog::{InterruptCause, Watchdog};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stream::{ConnectionInfo, EndedBy, Stream};
use crate::shutdown::{Shutdown, WaitOutcome};

/// A socket that poll(2) calls writable accepts at least this much without blocking.
const SEND_CHUNK: usize = 4096;

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
    /// The stream ended: FIN, under TLS after close_notify.
    End,
    /// The stream ended without close_notify of its TLS layer.
    Truncated,
    /// The connection broke.
    Error(io::Error),
}

/// The connection of one exchange.
pub struct HttpConnection<'a> {
    stream: Stream,
    target: String,
    limits: Limits,
    /// The start of a read that the watchdog watches.
    read_start: Option<Instant>,
    shutdown: &'a Shutdown,
    /// Standard output, whose reader may exit while nothing is received.
    output: Option<BorrowedFd<'static>>,
    /// For streams with a layer, whose reads cannot be polled for.
    watchdog: Option<Watchdog>,
    /// Why the request could not be sent.
    send_error: Option<io::Error>,
    /// Bytes received above all layers.
    pub bytes_in: u64,
    /// Bytes sent above all layers.
    pub bytes_out: u64,
    /// When the first byte was received.
    pub first_byte: Option<Instant>,
    /// What ended the connection.
    pub ended_by: EndedBy,
}

impl<'a> HttpConnection<'a> {
    /// A connection over `stream`, called `target` in errors.
    ///
    /// Fails at [`Phase::Socket`] when the watchdog of a layered stream cannot be started.
    pub fn new(
        stream: Stream,
        target: String,
        limits: Limits,
        shutdown: &'a Shutdown,
        output: Option<BorrowedFd<'static>>,
    ) -> Result<HttpConnection<'a>, Failure> {
        let watchdog = if stream.reader.raw().is_some() {
            None
        } else {
            let (handle, interval) = (stream.handle.clone(), limits.check_interval());
            Some(Watchdog::start(handle, interval, shutdown, output, &target)?)
        };
        Ok(HttpConnection {
            stream,
            target,
            limits,
            read_start: None,
            shutdown,
            output,
            watchdog,
            send_error: None,
            bytes_in: 0,
            bytes_out: 0,
            first_byte: None,
            ended_by: EndedBy::Us,
        })
    }

    /// Addresses and start of the connection.
    pub fn info(&self) -> &ConnectionInfo {
        &self.stream.info
    }

    /// The socket, if body bytes may be moved from it by the kernel.
    pub fn raw(&self) -> Option<BorrowedFd<'_>> {
        self.stream.reader.raw().filter(|_| self.limits.throttle.is_none())
    }

    /// Whether the stream ended without close_notify, but not inside a TLS record.
    pub fn ended_between_records(&self) -> bool {
        self.stream.handle.is_truncated()
    }

    /// Sends the request; `half_close` shuts the sending direction down after it.
    ///
    /// A peer that has responded already may not read on: if it resets the connection, or there is
    /// no space while a response arrives, sending ends and the response has the reason. Fails at
    /// [`Phase::Send`] when the wait fails or the local system does not send.
    pub fn send(&mut self, bytes: &[u8], half_close: bool) -> Result<(), Failure> {
        for chunk in bytes.chunks(SEND_CHUNK) {
            if !self.wait_writable()? {
                return Ok(());
            }
            if let Err(e) = self.stream.writer.write_all(chunk) {
                if is_local_abort(&e) {
                    return Err(Failure::new(Phase::Send, &self.target, e));
                }
                self.send_error = Some(e);
                return Ok(());
            }
            self.bytes_out += chunk.len() as u64;
        }
        if self.stream.writer.flush().is_ok() && half_close {
            let _ = self.stream.writer.finish();
        }
        Ok(())
    }

    /// The failure of a request that the peer refused without a response.
    pub fn send_failure(&mut self) -> Option<Failure> {
        let e = self.send_error.take().filter(|_| self.bytes_in == 0)?;
        Some(match self.bytes_out {
            0 => Failure::new(Phase::Receive, &self.target, e),
            sent => Failure::send(&self.target, e, sent, 0),
        })
    }

    /// Whether the peer's system has acknowledged only a part of the request; for a connection that
    /// has broken.
    pub fn is_partly_delivered(&self) -> bool {
        let acked = self.stream.handle.acknowledged();
        acked.is_some_and(|acked| (1..self.bytes_out).contains(&acked))
    }

    /// Waits for space to send; false if data arrives while there is none. Records of a layer cannot
    /// be distinguished from a response, so there only space counts.
    fn wait_writable(&mut self) -> Result<bool, Failure> {
        let deadline = self.limits.idle_timeout.and_then(|idle| Instant::now().checked_add(idle));
        let input = if self.watchdog.is_none() { PollFlags::IN } else { PollFlags::empty() };
        let socket = self.stream.handle.socket();
        match self.shutdown.wait(socket.as_fd(), PollFlags::OUT | input, deadline) {
            // The write finds an error.
            Ok(WaitOutcome::Ready(found)) => Ok(found != PollFlags::IN),
            Ok(WaitOutcome::TimedOut) => Err(self.timed_out(Phase::Send)),
            Ok(WaitOutcome::Shutdown(reason)) => {
                Err(Failure::shutdown(Phase::Send, &self.target, reason))
            }
            Err(e) => Err(Failure::new(Phase::Send, &self.target, e)),
        }
    }

    /// Closes the connection; a TLS layer sends close_notify.
    pub fn close(&mut self) {
        if self.watchdog.take().is_some() {
            let _ = self.stream.handle.limit_waits(Some(CLOSE_TIMEOUT));
            let _ = self.stream.writer.finish();
        }
    }

    /// Reads the next bytes.
    ///
    /// Fails at [`Phase::Receive`] when a limit is exceeded or the run is shut down, at
    /// [`Phase::Stdout`] when the reader of stdout is gone.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<ReadOutcome, Failure> {
        let max = self.throttle()?.min(buffer.len());
        loop {
            self.wait_readable()?;
            let read = self.stream.reader.read(&mut buffer[..max]);
            self.check_interrupt()?;
            let received = match read {
                Ok(0) if self.stream.handle.is_truncated() => ReadOutcome::Truncated,
                Ok(0) => ReadOutcome::End,
                Ok(n) => ReadOutcome::Bytes(n),
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

    /// Counts bytes that the kernel moved.
    pub fn count_spliced(&mut self, bytes: u64) {
        self.bytes_in += bytes;
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
            ReadOutcome::End | ReadOutcome::Truncated if self.send_error.is_none() => {
                self.ended_by = EndedBy::Peer
            }
            _ => self.ended_by = EndedBy::Reset,
        }
    }

    /// Waits until data or the end of the stream arrives; with a watchdog only sets the deadline.
    pub fn wait_readable(&mut self) -> Result<(), Failure> {
        // Before the deadline is set, so that a wait up to it is never counted as shorter.
        let now = Instant::now();
        let deadline = self.deadline()?;
        if let Some(watchdog) = &self.watchdog {
            self.read_start = Some(now);
            watchdog.begin(deadline);
            return Ok(());
        }
        let Some(socket) = self.stream.reader.raw() else { return Ok(()) };
        let mut fds = vec![PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        fds.extend(self.output.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
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
        let limit = if self.send_error.is_some() {
            Some(REFUSED_TIMEOUT)
        } else {
            self.limits.idle_timeout
        };
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

    fn check_interrupt(&mut self) -> Result<(), Failure> {
        if let Some(start) = self.read_start.take() {
            self.limits.add_wait(start);
        }
        match self.watchdog.as_ref().and_then(Watchdog::end) {
            None => Ok(()),
            Some(InterruptCause::Idle) => Err(self.timed_out(Phase::Receive)),
            Some(InterruptCause::Shutdown(reason)) => Err(self.stopped(reason)),
            Some(InterruptCause::StdoutClosed) => Err(broken_pipe()),
        }
    }

    fn timed_out(&mut self, phase: Phase) -> Failure {
        if let Some(e) = self.send_error.take() {
            self.ended_by = EndedBy::Reset;
            return match self.bytes_out {
                0 => Failure::new(Phase::Send, &self.target, e),
                sent => Failure::send(&self.target, e, sent, 0),
            };
        }
        self.ended_by = EndedBy::Timeout;
        let is_slow = phase == Phase::Receive
            && self.limits.remaining_wait(self.bytes_in) == Some(Duration::ZERO);
        match self.limits.min_speed.as_ref().filter(|_| is_slow) {
            Some(speed) => {
                Failure::new(phase, &self.target, speed.cause()).with_code(ExitCode::Timeout)
            }
            None => {
                Failure::timeout(phase, &self.target, self.limits.idle_timeout.unwrap_or_default())
            }
        }
    }

    fn stopped(&mut self, reason: crate::shutdown::ShutdownReason) -> Failure {
        let failure = Failure::shutdown(Phase::Receive, &self.target, reason);
        let timed_out = failure.code == ExitCode::Timeout;
        self.ended_by = if timed_out { EndedBy::Timeout } else { EndedBy::Signal };
        failure
    }
}

/// The failure of a write to stdout whose reader is gone.
fn broken_pipe() -> Failure {
    Failure::new(Phase::Stdout, "-", io::Error::from_raw_os_error(libc::EPIPE))
}

/// Whether the local system refused to send, and not the peer to receive.
fn is_local_abort(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|errno| errno != libc::EPIPE && errno != libc::ECONNRESET)
}
