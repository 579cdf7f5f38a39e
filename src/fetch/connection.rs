//! A stream that stands, used with limits: no wait outlasts the idle limit, the run's cord, or
//! the reader of our own output.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::limits::Limits;
use super::read_watchdog::{InterruptCause, Watchdog};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stream::{ConnectionInfo, EndedBy, Stream};
use crate::shutdown::{Shutdown, WaitOutcome};

/// A socket that reports room takes at least this much without blocking.
const PIECE: usize = 4096;

/// How long a goodbye may wait for room.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// How long the answer of a peer that took no request is waited for: its reset brought the kernel
/// all there will be.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What one wait for bytes came to.
#[derive(Debug)]
pub enum ReadOutcome {
    /// So many bytes.
    Bytes(usize),
    /// The peer's stream has ended properly.
    End,
    /// It ended without the closing message of its layer (TLS close_notify).
    Cut,
    /// The connection broke.
    Broken(io::Error),
}

/// The connection of one exchange.
pub struct HttpConnection<'a> {
    stream: Stream,
    whom: String,
    limits: Limits,
    /// Since when a read waits that cannot be polled for.
    waiting: Option<Instant>,
    stop: &'a Shutdown,
    /// Our output, watched for a reader that leaves while nothing comes.
    output: Option<BorrowedFd<'static>>,
    /// For streams whose bytes do not come straight from the socket.
    watch: Option<Watchdog>,
    /// The peer did not take the request.
    send_error: Option<io::Error>,
    /// Bytes of the user's that came.
    pub bytes_in: u64,
    /// Likewise, sent.
    pub bytes_out: u64,
    /// When the first byte came.
    pub first_byte: Option<Instant>,
    /// Who or what ended it.
    pub ended_by: EndedBy,
}

impl<'a> HttpConnection<'a> {
    /// The wire over `stream`, called `whom` in errors.
    pub fn new(
        stream: Stream,
        whom: String,
        limits: Limits,
        stop: &'a Shutdown,
        output: Option<BorrowedFd<'static>>,
    ) -> Result<HttpConnection<'a>, Failure> {
        let watch = match stream.reader.raw() {
            Some(_) => None,
            None => {
                let (hangup, period) = (stream.hangup.clone(), limits.period());
                Some(Watchdog::start(hangup, period, stop, output, &whom)?)
            }
        };
        Ok(HttpConnection {
            stream,
            whom,
            limits,
            waiting: None,
            stop,
            output,
            watch,
            send_error: None,
            bytes_in: 0,
            bytes_out: 0,
            first_byte: None,
            ended_by: EndedBy::Us,
        })
    }

    /// What is known about the connection.
    pub fn facts(&self) -> &ConnectionInfo {
        &self.stream.facts
    }

    /// The bare socket, if bytes may be taken from it past us.
    pub fn raw(&self) -> Option<BorrowedFd<'_>> {
        self.stream.reader.raw().filter(|_| self.limits.pace.is_none())
    }

    /// Whether the stream ended without close_notify where that may have been all.
    pub fn ended_between_records(&self) -> bool {
        self.stream.hangup.is_truncated()
    }

    /// Sends the request; `finish` half-closes behind it.
    ///
    /// A peer that has said no already does not listen: if it takes nothing more, or there is no
    /// room while it speaks, what it said tells why. Else fails at [`Stage::Send`], when waiting
    /// does or the system will not send.
    pub fn send(&mut self, bytes: &[u8], finish: bool) -> Result<(), Failure> {
        for piece in bytes.chunks(PIECE) {
            if !self.wait_writable()? {
                return Ok(());
            }
            if let Err(e) = self.stream.writer.write_all(piece) {
                if is_local_abort(&e) {
                    return Err(Failure::new(Phase::Send, &self.whom, e));
                }
                self.send_error = Some(e);
                return Ok(());
            }
            self.bytes_out += piece.len() as u64;
        }
        if self.stream.writer.flush().is_ok() && finish {
            let _ = self.stream.writer.finish();
        }
        Ok(())
    }

    /// Why there is no answer, if the peer did not take the request.
    pub fn send_failure(&mut self) -> Option<Failure> {
        let e = self.send_error.take().filter(|_| self.bytes_in == 0)?;
        Some(match self.bytes_out {
            0 => Failure::new(Phase::Receive, &self.whom, e),
            sent => Failure::send(&self.whom, e, sent, 0),
        })
    }

    /// Whether the peer's system took a part of the request and not all of it; asked of a
    /// connection that has broken.
    pub fn is_partly_delivered(&self) -> bool {
        let taken = self.stream.hangup.acknowledged();
        taken.is_some_and(|taken| (1..self.bytes_out).contains(&taken))
    }

    /// Waits for room, or for the peer to speak: false if it does while there is none. What a
    /// layer says for itself cannot be told from an answer, so there only room counts.
    fn wait_writable(&mut self) -> Result<bool, Failure> {
        let until = self.limits.idle.and_then(|idle| Instant::now().checked_add(idle));
        let speech = if self.watch.is_none() { PollFlags::IN } else { PollFlags::empty() };
        let socket = self.stream.hangup.socket();
        match self.stop.wait(socket.as_fd(), PollFlags::OUT | speech, until) {
            // An error is the write's to find.
            Ok(WaitOutcome::Ready(found)) => Ok(found != PollFlags::IN),
            Ok(WaitOutcome::TimedOut) => Err(self.late(Phase::Send)),
            Ok(WaitOutcome::Shutdown(reason)) => {
                Err(Failure::shutdown(Phase::Send, &self.whom, reason))
            }
            Err(e) => Err(Failure::new(Phase::Send, &self.whom, e)),
        }
    }

    /// Nothing more is wanted of the peer: a layer that has a goodbye says it.
    pub fn close(&mut self) {
        if self.watch.take().is_some() {
            let _ = self.stream.hangup.limit_waits(Some(CLOSE_TIMEOUT));
            let _ = self.stream.writer.finish();
        }
    }

    /// The next bytes of the peer.
    ///
    /// Fails at [`Stage::Receive`] when a limit passes or the cord is pulled, at
    /// [`Stage::Stdout`] when the reader of our output has left.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<ReadOutcome, Failure> {
        let most = self.await_turn()?.min(buffer.len());
        loop {
            self.wait_readable()?;
            let read = self.stream.reader.read(&mut buffer[..most]);
            self.end_watch()?;
            let received = match read {
                Ok(0) if self.stream.hangup.is_truncated() => ReadOutcome::Cut,
                Ok(0) => ReadOutcome::End,
                Ok(n) => ReadOutcome::Bytes(n),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => ReadOutcome::Broken(e),
            };
            self.count(&received);
            return Ok(received);
        }
    }

    /// Waits until `--rate` allows more bytes. Returns how many may be received next.
    fn await_turn(&mut self) -> Result<usize, Failure> {
        let Some(pace) = &mut self.limits.pace else { return Ok(usize::MAX) };
        let (delay, piece) = (pace.delay(), pace.chunk_size());
        if !delay.is_zero() {
            self.stop.sleep(delay).map_err(|reason| self.stopped(reason))?;
        }
        Ok(piece)
    }

    /// Counts bytes that were taken from the socket past us.
    pub fn count_passed(&mut self, bytes: u64) {
        self.bytes_in += bytes;
    }

    /// Counts what was received, and notes how the connection ended.
    pub fn count(&mut self, received: &ReadOutcome) {
        match received {
            ReadOutcome::Bytes(n) => {
                self.bytes_in += *n as u64;
                if let Some(pace) = &mut self.limits.pace {
                    pace.count(*n);
                }
                self.first_byte.get_or_insert_with(Instant::now);
            }
            // What did not take our words was no proper end.
            ReadOutcome::End | ReadOutcome::Cut if self.send_error.is_none() => {
                self.ended_by = EndedBy::Peer
            }
            _ => self.ended_by = EndedBy::Reset,
        }
    }

    /// Waits until the peer has something to say, or has ended.
    pub fn wait_readable(&mut self) -> Result<(), Failure> {
        // Before the deadline is set, so that a wait up to it is never counted as shorter.
        let now = Instant::now();
        let until = self.deadline()?;
        if let Some(watch) = &self.watch {
            self.waiting = Some(now);
            watch.begin(until);
            return Ok(());
        }
        let Some(socket) = self.stream.reader.raw() else { return Ok(()) };
        let mut fds = vec![PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        fds.extend(self.output.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
        let woken = self.stop.wait_any(&mut fds, until);
        let reader_left = fds.get(1).is_some_and(|fd| fd.revents().contains(PollFlags::ERR));
        self.limits.waited(now);
        match woken {
            Ok(WaitOutcome::Ready(_)) if reader_left => Err(reader_gone()),
            Ok(WaitOutcome::Ready(_)) => Ok(()),
            Ok(WaitOutcome::TimedOut) => Err(self.late(Phase::Receive)),
            Ok(WaitOutcome::Shutdown(reason)) => Err(self.stopped(reason)),
            Err(e) => Err(Failure::new(Phase::Receive, &self.whom, e)),
        }
    }

    /// Until when the peer is waited for.
    ///
    /// Fails at [`Stage::Receive`] with 28 when it has been slower than `--speed-limit`.
    fn deadline(&mut self) -> Result<Option<Instant>, Failure> {
        let limit = if self.send_error.is_some() { Some(LAST_WORDS) } else { self.limits.idle };
        let patience = self.limits.patience(self.bytes_in);
        if patience == Some(Duration::ZERO) {
            return Err(self.late(Phase::Receive));
        }
        let shorter = limit.into_iter().chain(patience).min();
        Ok(shorter.and_then(|limit| Instant::now().checked_add(limit)))
    }

    /// Waits until `output`, a pipe that is full, has room again; its reader may take its time.
    pub fn wait_output_writable(&mut self, output: BorrowedFd<'_>) -> Result<(), Failure> {
        match self.stop.wait(output, PollFlags::OUT, None) {
            Ok(WaitOutcome::Ready(found)) if found.contains(PollFlags::ERR) => Err(reader_gone()),
            Ok(WaitOutcome::Shutdown(reason)) => Err(self.stopped(reason)),
            Ok(_) => Ok(()),
            Err(e) => Err(Failure::new(Phase::Stdout, "-", e)),
        }
    }

    fn end_watch(&mut self) -> Result<(), Failure> {
        if let Some(began) = self.waiting.take() {
            self.limits.waited(began);
        }
        match self.watch.as_ref().and_then(Watchdog::end) {
            None => Ok(()),
            Some(InterruptCause::Idle) => Err(self.late(Phase::Receive)),
            Some(InterruptCause::Stopped(reason)) => Err(self.stopped(reason)),
            Some(InterruptCause::ReaderGone) => Err(reader_gone()),
        }
    }

    fn late(&mut self, stage: Phase) -> Failure {
        if let Some(e) = self.send_error.take() {
            self.ended_by = EndedBy::Reset;
            return match self.bytes_out {
                0 => Failure::new(Phase::Send, &self.whom, e),
                sent => Failure::send(&self.whom, e, sent, 0),
            };
        }
        self.ended_by = EndedBy::Timeout;
        let is_slow =
            stage == Phase::Receive && self.limits.patience(self.bytes_in) == Some(Duration::ZERO);
        match self.limits.speed.as_ref().filter(|_| is_slow) {
            Some(speed) => {
                Failure::new(stage, &self.whom, speed.words()).with_code(ExitCode::Timeout)
            }
            None => Failure::timeout(stage, &self.whom, self.limits.idle.unwrap_or_default()),
        }
    }

    fn stopped(&mut self, reason: crate::shutdown::ShutdownReason) -> Failure {
        let failure = Failure::shutdown(Phase::Receive, &self.whom, reason);
        let timed_out = failure.code == ExitCode::Timeout;
        self.ended_by = if timed_out { EndedBy::Timeout } else { EndedBy::Signal };
        failure
    }
}

/// As if we had written and learnt that nobody reads.
fn reader_gone() -> Failure {
    Failure::new(Phase::Stdout, "-", io::Error::from_raw_os_error(libc::EPIPE))
}

/// Whether it was our own system that would not send, and not the peer that would not take.
fn is_local_abort(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|errno| errno != libc::EPIPE && errno != libc::ECONNRESET)
}
