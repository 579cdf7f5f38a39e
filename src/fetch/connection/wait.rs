//! Waits for the peer: no wait outlasts the idle timeout, `--speed-limit`, the shutdown of the run, or
//! the reader of stdout.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::HttpConnection;
use crate::error::{Failure, Phase};
use crate::net::stream::EndedBy;
use crate::shutdown::{ShutdownReason, WaitOutcome};

/// How long to wait for the response of a peer that refused the request: after its reset only what
/// the kernel already has can follow.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(1);

impl HttpConnection {
    /// Waits for space to send, or for an error that the write finds. False where there is none and
    /// data arrives: the peer has responded already. Records of a layer cannot be distinguished
    /// from a response, so there only space counts.
    pub fn wait_for_space(&mut self) -> Result<bool, Failure> {
        let deadline = self.limits.idle_timeout.and_then(|idle| Instant::now().checked_add(idle));
        let is_plain = self.stream.reader.plain_fd().is_some();
        let input = if is_plain { PollFlags::IN } else { PollFlags::empty() };
        let socket = self.stream.handle.socket();
        match self.shutdown.wait(socket.as_fd(), PollFlags::OUT | input, deadline) {
            Ok(WaitOutcome::Ready(found)) => Ok(found != PollFlags::IN),
            Ok(WaitOutcome::TimedOut) => Err(self.timed_out(Phase::Send)),
            Ok(WaitOutcome::Shutdown(reason)) => {
                Err(Failure::shutdown(Phase::Send, &self.target, reason))
            }
            Err(e) => Err(Failure::new(Phase::Send, &self.target, e)),
        }
    }

    /// Waits until data or the end of the stream arrives.
    pub fn wait_readable(&mut self) -> Result<(), Failure> {
        // Before the deadline is set, so that a wait up to it is never counted as shorter.
        let began = Instant::now();
        let deadline = self.deadline()?;
        let reader = &self.stream.reader;
        if reader.plain_fd().is_none() && reader.is_ready() {
            let reason = self.shutdown.reason();
            return reason.map_or(Ok(()), |reason| Err(self.stopped(reason)));
        }
        let mut fds = vec![PollFd::new(self.stream.handle.socket(), PollFlags::IN)];
        let stdout = self.stdout;
        fds.extend(stdout.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
        let outcome = self.shutdown.wait_any(&mut fds, deadline);
        let stdout_closed = fds.get(1).is_some_and(|fd| fd.revents().contains(PollFlags::ERR));
        if let Some(speed) = &mut self.limits.min_speed {
            speed.waited += began.elapsed();
        }
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
        let speed = self.limits.min_speed.as_mut();
        let speed_limit = speed.map(|speed| speed.remaining_wait(self.bytes_in));
        if speed_limit == Some(Duration::ZERO) {
            return Err(self.timed_out(Phase::Receive));
        }
        let shorter = limit.into_iter().chain(speed_limit).min();
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
        if phase == Phase::Receive
            && let Some(speed) = &mut self.limits.min_speed
            && speed.remaining_wait(self.bytes_in).is_zero()
        {
            return speed.failure(&self.target);
        }
        Failure::timeout(phase, &self.target, self.limits.idle_timeout.unwrap_or_default())
    }

    /// The failure of a wait that the end of the run ended.
    pub fn stopped(&mut self, reason: ShutdownReason) -> Failure {
        self.ended_by = EndedBy::from(reason);
        Failure::shutdown(Phase::Receive, &self.target, reason)
    }
}

/// The failure of a write to stdout whose reader is gone.
fn broken_pipe() -> Failure {
    Failure::new(Phase::Stdout, "-", io::Error::from_raw_os_error(libc::EPIPE))
}
