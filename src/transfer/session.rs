//! The state machine of a session: one state per direction, and what ends both.

use std::io::{ErrorKind, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::directions::{DirectionEvent, EventReceiver};
use super::local::LocalFile;
use super::options::{DuplexObserver, DuplexOptions, OnLocalEof, SILENCE_LIMIT};
use super::outcome::{DuplexOutcome, Transferred};
use super::{Meter, TransferError};
use crate::error::{Failure, Phase};
use crate::net::activity::IDLE_AFTER;
use crate::net::stdio::reader_closed;
use crate::net::stream::{ConnectionHandle, ConnectionInfo, EndedBy, Writer};
use crate::shutdown::{Shutdown, ShutdownReason, earliest, poll_until};

/// Interval of an observer's ticks.
const TICK: Duration = Duration::from_millis(20);
/// Interval at which the kernel is asked for what it reports by no event: acknowledged bytes.
const ACK_POLL: Duration = Duration::from_millis(20);
/// How long after the peer's reset our own direction has time to fail too.
const SEND_ERROR_GRACE: Duration = Duration::from_millis(60);
/// How long bytes of the peer are read after sending to it has failed.
const DRAIN_AFTER_SEND_ERROR: Duration = Duration::from_secs(2);

/// State of the direction from the local input to the peer.
pub(super) enum UpState {
    Running,
    /// There is no input; our end of stream is unsent.
    NoInput(Box<dyn Writer>),
    /// The input is sent; the half-close is in progress.
    Ending,
    Done,
    Failed(TransferError),
    /// The input is sent; the half-close failed.
    FinishFailed(std::io::Error),
}

/// State of the direction from the peer to the local output.
pub(super) enum DownState {
    Running,
    Done,
    Failed(TransferError),
}

impl UpState {
    fn name(&self) -> &'static str {
        match self {
            UpState::Running => "running",
            UpState::NoInput(_) => "no input",
            UpState::Ending => "ending",
            UpState::Done => "done",
            UpState::Failed(_) => "failed",
            UpState::FinishFailed(_) => "half-close failed",
        }
    }
}

impl DownState {
    fn name(&self) -> &'static str {
        match self {
            DownState::Running => "running",
            DownState::Done => "done",
            DownState::Failed(_) => "failed",
        }
    }
}

/// What follows from the states of both directions.
#[derive(Debug)]
pub(super) enum SessionStep {
    Finish(DuplexOutcome),
    /// Wait for an event, at most until the deadline.
    Wait(Option<Instant>),
    /// As `Wait`; a connection that is closed in both directions is an event too.
    WaitOrHangup(Option<Instant>),
}

/// A session of two running directions.
///
/// What happens, by the states of both directions. It is looked up after each event and at the
/// deadline that the state itself names; where none is named, only an event wakes the session.
///
/// | up \ down | Running | Done | Failed to read | Failed to write |
/// |---|---|---|---|---|
/// | Running | end of the input at the input timeout; idle limit | finish on `exit_on_eof` or a terminal; a closed connection is a lost peer; idle limit | receive error after 60 ms | output error |
/// | NoInput | warning after 5 s, idle limit, `linger` | send our end of stream | receive error | output error |
/// | Ending | idle limit | idle limit | receive error after 60 ms | output error |
/// | Done | finish by `on_end` or `linger`; idle limit | finish when all is acknowledged | receive error | output error |
/// | Failed to read | input error | input error | input error | output error |
/// | Failed to write | send error after 2 s | send error | send error | output error |
/// | FinishFailed | shutdown error; 60 ms later when the peer is gone | as Done when the peer is gone, else shutdown error | receive error | output error |
///
/// Before all of this: a shutdown finishes the session, immediately or (`finishes`) as soon as
/// nothing is in flight, and so does a closed stdout.
pub(super) struct Session<'a> {
    pub(super) events: EventReceiver,
    /// Dropped to end the upload; `None` when it cannot be ended.
    pub(super) cancel: Option<PipeWriter>,
    pub(super) up: UpState,
    pub(super) down: DownState,
    pub(super) sent: Meter,
    pub(super) received: Meter,
    pub(super) input: LocalFile,
    pub(super) output: LocalFile,
    /// The local input, if it is a file other than stdin.
    pub(super) input_fd: Option<OwnedFd>,
    /// Whether the local input is a terminal.
    pub(super) endless: bool,
    pub(super) connection: ConnectionHandle,
    pub(super) info: ConnectionInfo,
    pub(super) options: DuplexOptions,
    pub(super) observer: &'a dyn DuplexObserver,
    pub(super) shutdown: &'a Shutdown,
    pub(super) times: Times,
    /// Whether a silent peer is still to be warned about.
    pub(super) warns: bool,
}

/// When what happened in a session, apart from its bytes.
pub(super) struct Times {
    /// The first end of stream, and its sender.
    first_eof: Option<EndedBy>,
    /// When the input was sent completely, or the session started.
    input_sent_at: Instant,
    /// When the first byte may be sent: `delay` does not count as idle.
    begins_at: Instant,
    /// When the peer's end of stream was received.
    peer_ended_at: Option<Instant>,
    /// The first failure of a direction.
    failed_at: Option<Instant>,
}

impl Times {
    /// A session that starts now.
    pub(super) fn start(delay: Duration) -> Times {
        let now = Instant::now();
        let begins_at = now.checked_add(delay).unwrap_or(now);
        let (peer_ended_at, failed_at) = (None, None);
        Times { first_eof: None, input_sent_at: now, begins_at, peer_ended_at, failed_at }
    }
}

impl Session<'_> {
    /// Waits until the session is over, and closes or resets the connection.
    pub(super) fn run(mut self) -> DuplexOutcome {
        loop {
            self.receive_events();
            self.observer.tick();
            self.warn_if_silent();
            self.end_silent_input();
            self.send_eof_without_input();
            let step = self.next_step();
            if let SessionStep::Finish(outcome) = step {
                let (ended_by, failed) = (outcome.by.name(), outcome.outcome.is_err());
                tracing::debug!(ended_by, failed, "session is over");
                self.close_connection(&outcome);
                return outcome;
            }
            if let Err(e) = self.wait(step) {
                let failure = Failure::new(Phase::Receive, &self.info.peer, e);
                return DuplexOutcome::failure(EndedBy::Local, failure);
            }
        }
    }

    fn receive_events(&mut self) {
        let mut wakes = [0; 64];
        let _ = rustix::io::read(&self.events.wake, &mut wakes);
        while let Ok(event) = self.events.queue.try_recv() {
            self.on_event(event);
            let (up, down) = (self.up.name(), self.down.name());
            tracing::debug!(
                up,
                down,
                sent = self.sent.total(),
                received = self.received.total(),
                "state of both directions"
            );
        }
    }

    pub(super) fn on_event(&mut self, event: DirectionEvent) {
        match event {
            DirectionEvent::UpEnding => {
                self.up = UpState::Ending;
                self.times.first_eof.get_or_insert(EndedBy::Local);
                self.observer.on_local_eof();
            }
            DirectionEvent::UpDone => {
                self.up = UpState::Done;
                self.times.input_sent_at = Instant::now();
                self.times.first_eof.get_or_insert(EndedBy::Local);
            }
            DirectionEvent::UpFailed(e) => self.fail_up(UpState::Failed(e)),
            DirectionEvent::FinishFailed(e) => self.fail_up(UpState::FinishFailed(e)),
            DirectionEvent::DownDone => {
                self.down = DownState::Done;
                self.times.peer_ended_at = Some(Instant::now());
                self.times.first_eof.get_or_insert(EndedBy::Peer);
                self.observer.on_peer_eof();
                if matches!(self.up, UpState::Running) {
                    self.connection.probe_peer();
                }
            }
            DirectionEvent::DownFailed(e) => {
                self.down = DownState::Failed(e);
                self.times.failed_at.get_or_insert_with(Instant::now);
            }
        }
    }

    fn fail_up(&mut self, state: UpState) {
        self.up = state;
        self.times.failed_at.get_or_insert_with(Instant::now);
    }

    /// Warns once about a peer that may be waiting for our end of stream.
    fn warn_if_silent(&mut self) {
        if self.silence_deadline().is_some_and(has_passed) {
            self.warns = false;
            self.observer.peer_silent_without_input();
        }
    }

    fn silence_deadline(&self) -> Option<Instant> {
        let may_warn = self.warns && matches!(self.down, DownState::Running);
        may_warn.then(|| self.moved_at() + SILENCE_LIMIT)
    }

    /// Ends an input that has been silent for the input timeout, once all of it is delivered.
    fn end_silent_input(&mut self) {
        if matches!(self.up, UpState::Running)
            && self.input_deadline().is_some_and(has_passed)
            && !self.sent.has_in_flight()
            && self.connection.unacked_bytes() == 0
        {
            self.cancel = None;
        }
    }

    /// When the input has been silent for the input timeout.
    fn input_deadline(&self) -> Option<Instant> {
        let may_end = match self.up {
            UpState::Running => self.cancel.is_some(),
            UpState::NoInput(_) => true,
            _ => false,
        };
        let limit = self.options.input_timeout.filter(|_| may_end)?;
        self.moved_at().max(self.times.begins_at).checked_add(limit)
    }

    /// Without input, our end of stream follows the peer's, the silence that the input timeout or
    /// `linger` allows, or the drain of the server.
    fn send_eof_without_input(&mut self) {
        let is_due = || {
            matches!(self.down, DownState::Done)
                || self.drains() && self.is_quiet()
                || self.input_deadline().is_some_and(has_passed)
                || self.has_lingered()
        };
        if !matches!(self.up, UpState::NoInput(_)) || !is_due() {
            return;
        }
        if let UpState::NoInput(mut writer) = std::mem::replace(&mut self.up, UpState::Done) {
            self.times.first_eof.get_or_insert(EndedBy::Local);
            self.observer.on_local_eof();
            if let Err(e) = writer.finish() {
                self.fail_up(UpState::FinishFailed(e));
            }
        }
    }

    /// Looks up the table above.
    pub(super) fn next_step(&self) -> SessionStep {
        if let Some(reason) = self.shutdown.reason()
            && (!self.options.finishes || self.is_quiet())
        {
            return SessionStep::Finish(self.shut_down(reason));
        }
        if self.output.standard.is_some_and(reader_closed) {
            return SessionStep::Finish(DuplexOutcome::success(EndedBy::Local));
        }
        match (&self.up, &self.down) {
            (_, DownState::Failed(TransferError::Write(e))) => {
                SessionStep::Finish(DuplexOutcome::output_failed(&self.output, e))
            }
            (UpState::Failed(TransferError::Read(e)), _) => {
                SessionStep::Finish(DuplexOutcome::input_failed(&self.input, e))
            }
            (UpState::Failed(TransferError::Write(e)), down) => self.after_send_error(e, down),
            (_, DownState::Failed(TransferError::Read(e))) => self.after_receive_error(e),
            (UpState::FinishFailed(e), down) => self.after_finish_error(e, down),
            (UpState::Done, DownState::Done) => self.after_both_ends(),
            (UpState::Done | UpState::NoInput(_), DownState::Running) => self.only_receiving(),
            (UpState::Running, DownState::Done) => self.only_sending(),
            _ => self.until(None),
        }
    }

    fn after_send_error(&self, e: &std::io::Error, down: &DownState) -> SessionStep {
        let grace = match down {
            DownState::Running => DRAIN_AFTER_SEND_ERROR,
            _ => Duration::ZERO,
        };
        self.after_grace(grace, || self.transferred().send_failed(e))
    }

    /// A direction that has bytes to send is about to fail too, which is the better error.
    fn after_receive_error(&self, e: &std::io::Error) -> SessionStep {
        let grace = match self.up {
            UpState::Running | UpState::Ending => SEND_ERROR_GRACE,
            _ => Duration::ZERO,
        };
        self.after_grace(grace, || {
            let sends = matches!(self.up, UpState::Running);
            let has_undelivered = || sends && self.has_pending_stdin() || self.has_unacknowledged();
            self.transferred().receive_failed(e, has_undelivered)
        })
    }

    /// A peer that is gone needs no half-close, and its end of stream arrives within the grace.
    fn after_finish_error(&self, e: &std::io::Error, down: &DownState) -> SessionStep {
        let is_gone = matches!(
            e.kind(),
            ErrorKind::NotConnected | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
        );
        if is_gone && matches!(down, DownState::Done) {
            return self.after_both_ends();
        }
        let grace = if is_gone { SEND_ERROR_GRACE } else { Duration::ZERO };
        self.after_grace(grace, || self.transferred().finish_failed(e))
    }

    fn after_grace(&self, grace: Duration, outcome: impl FnOnce() -> DuplexOutcome) -> SessionStep {
        let deadline = self.times.failed_at.map(|at| at + grace);
        match deadline {
            Some(deadline) if !has_passed(deadline) => SessionStep::Wait(Some(deadline)),
            _ => SessionStep::Finish(outcome()),
        }
    }

    /// After both ends of stream: waits until the kernel has delivered the bytes that it still holds,
    /// or has failed to.
    fn after_both_ends(&self) -> SessionStep {
        let done = DuplexOutcome::success(self.times.first_eof.unwrap_or(EndedBy::Peer));
        // In this order: a Unix socket's bytes vanish with its peer, which has left an error.
        let unacked = self.connection.unacked_bytes();
        let error = self.connection.socket().take_error().ok().flatten();
        let is_incomplete = self.has_unacknowledged();
        match error {
            // After the peer's close_notify a reset is the answer to our own from a peer that has
            // closed by then, and everything before it has arrived.
            Some(e) if self.sent.total() > 0 && (is_incomplete || !self.info.is_encrypted) => {
                SessionStep::Finish(self.transferred().send_failed(&e))
            }
            Some(_) => SessionStep::Finish(done),
            None if unacked == 0 => SessionStep::Finish(done),
            None if !self.connection.is_closed() => {
                SessionStep::Wait(Some(Instant::now() + ACK_POLL))
            }
            // A failed half-close has taken the error.
            None if is_incomplete => SessionStep::Finish(self.undelivered()),
            None => SessionStep::Finish(done),
        }
    }

    /// After our end of stream, or without input.
    fn only_receiving(&self) -> SessionStep {
        if self.can_close() || self.has_lingered() {
            return SessionStep::Finish(DuplexOutcome::success(EndedBy::Local));
        }
        let closes = matches!(self.options.on_end, OnLocalEof::HangUp | OnLocalEof::SendOnly);
        let next_poll = Instant::now() + ACK_POLL;
        // Past `linger` something is still in flight.
        let linger = self.linger_deadline().map(|deadline| deadline.max(next_poll));
        self.until(earliest(closes.then_some(next_poll), linger))
    }

    /// After the peer's end of stream.
    fn only_sending(&self) -> SessionStep {
        let done = DuplexOutcome::success(self.times.first_eof.unwrap_or(EndedBy::Peer));
        let exit_at = self.exit_deadline();
        if self.endless || exit_at.is_some_and(has_passed) {
            return SessionStep::Finish(done);
        }
        if !reader_closed(self.connection.socket().as_fd()) {
            return match self.until(exit_at) {
                SessionStep::Wait(deadline) => SessionStep::WaitOrHangup(deadline),
                step => step,
            };
        }
        // Closed in both directions: a reset, a failed probe, a Unix peer that has closed.
        if self.is_about_to_send() {
            SessionStep::Wait(Some(Instant::now() + ACK_POLL))
        } else if self.connection.unacknowledged(self.transmitted()) {
            SessionStep::Finish(self.undelivered())
        } else {
            SessionStep::Finish(done)
        }
    }

    /// Waits until `deadline`, unless the idle limit is earlier or has passed.
    fn until(&self, deadline: Option<Instant>) -> SessionStep {
        let idle_since = self.moved_at().max(self.times.begins_at);
        let Some(limit) = self.options.idle else { return SessionStep::Wait(deadline) };
        let idle = idle_since.checked_add(limit);
        if !idle.is_some_and(has_passed) {
            return SessionStep::Wait(earliest(deadline, idle));
        }
        let is_unacked = self.connection.unacked_bytes() > 0;
        let phase = if is_unacked { Phase::Send } else { Phase::Receive };
        let failure = Failure::timeout(phase, &self.info.peer, limit);
        SessionStep::Finish(DuplexOutcome::failure(EndedBy::Timeout, failure))
    }

    fn shut_down(&self, reason: ShutdownReason) -> DuplexOutcome {
        let is_complete = matches!(self.up, UpState::Done) || self.endless;
        if self.options.finishes && is_complete {
            return DuplexOutcome::success(reason.into());
        }
        let is_unacked = self.connection.unacked_bytes() > 0;
        let sends = matches!(self.up, UpState::Running) && is_unacked;
        let phase = if sends { Phase::Send } else { Phase::Receive };
        self.transferred().shut_down(phase, reason)
    }

    fn undelivered(&self) -> DuplexOutcome {
        let sent = Transferred { sent: self.transmitted(), ..self.transferred() };
        sent.undelivered(self.connection.acknowledged().unwrap_or(0))
    }

    /// How many bytes were sent. The peer's reset can arrive before the call that has sent the last
    /// ones returns and counts them; without a layer the kernel knows them.
    fn transmitted(&self) -> u64 {
        let counted = self.sent.total();
        if self.info.is_encrypted {
            return counted;
        }
        counted.max(self.connection.transmitted().unwrap_or(0))
    }

    fn transferred(&self) -> Transferred<'_> {
        let (sent, received) = (self.sent.total(), self.received.total());
        Transferred { peer: &self.info.peer, sent, received }
    }

    /// Waits for what `step` names, for a direction, for stdout to close, or for a shutdown.
    fn wait(&self, step: SessionStep) -> std::io::Result<()> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.events.wake.as_fd(), PollFlags::IN)];
        // poll(2) always reports that its reader has closed.
        let stdout = self.output.standard;
        fds.extend(stdout.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
        if matches!(step, SessionStep::WaitOrHangup(_)) {
            let socket = self.connection.socket().as_fd();
            fds.push(PollFd::from_borrowed_fd(socket, PollFlags::empty()));
        }
        let (SessionStep::Wait(deadline) | SessionStep::WaitOrHangup(deadline)) = step else {
            return Ok(());
        };
        let deadline = earliest(deadline, self.own_deadline());
        if self.drains() {
            // The shutdown has happened: it is no event any more.
            poll_until(&mut fds, deadline).map(drop)
        } else {
            self.shutdown.wait_any(&mut fds, deadline).map(drop)
        }
    }

    /// The next moment that is of interest whatever the states of the directions.
    fn own_deadline(&self) -> Option<Instant> {
        let now = Instant::now();
        let tick = self.observer.needs_ticks().then(|| now + TICK);
        // Past the silence something is still in flight.
        let quiet = self.drains().then(|| (self.moved_at() + IDLE_AFTER).max(now + ACK_POLL));
        // Past the input timeout something is still in flight.
        let input = self.input_deadline().map(|deadline| deadline.max(now + ACK_POLL));
        earliest(earliest(tick, quiet), earliest(self.silence_deadline(), input))
    }

    /// Whether a shutdown has begun that lets the session finish.
    fn drains(&self) -> bool {
        self.options.finishes && self.shutdown.reason().is_some()
    }

    /// When the last byte moved in either direction, or the input ended.
    fn moved_at(&self) -> Instant {
        self.sent.moved_at().max(self.received.moved_at()).max(self.times.input_sent_at)
    }

    /// Whether nothing has been in flight for [`IDLE_AFTER`].
    fn is_quiet(&self) -> bool {
        self.moved_at().elapsed() >= IDLE_AFTER && self.connection.is_quiescent()
    }

    /// Whether the end of the local input ends the session by now.
    fn can_close(&self) -> bool {
        match self.options.on_end {
            OnLocalEof::HangUp => self.connection.unacked_bytes() == 0,
            OnLocalEof::SendOnly => self.connection.is_quiescent(),
            OnLocalEof::HalfClose | OnLocalEof::KeepOpen => false,
        }
    }

    /// When a silent input ends the session after the peer's end of stream, unless something is
    /// still in flight.
    fn exit_deadline(&self) -> Option<Instant> {
        let limit = self.options.exit_on_eof?;
        let has_in_flight = || self.sent.has_in_flight() || self.connection.unacked_bytes() > 0;
        let earliest = if limit.is_zero() || !has_in_flight() {
            self.times.peer_ended_at
        } else {
            Some(Instant::now() + ACK_POLL)
        };
        self.moved_at().max(earliest?).checked_add(limit)
    }

    fn linger_deadline(&self) -> Option<Instant> {
        self.moved_at().checked_add(self.options.linger?)
    }

    /// Whether `linger` has passed with nothing in flight. What a Unix peer has not read yet is in
    /// its own queue.
    fn has_lingered(&self) -> bool {
        let is_delivered =
            || self.info.peer.inet().is_none() || self.connection.unacked_bytes() == 0;
        self.linger_deadline().is_some_and(has_passed)
            && !self.received.has_in_flight()
            && !self.connection.has_unread()
            && is_delivered()
    }

    /// Whether the peer's kernel is known not to have acknowledged everything.
    fn has_unacknowledged(&self) -> bool {
        self.connection.unacknowledged(self.sent.total())
    }

    /// Whether our direction holds bytes, or its input does: it then fails, or ends, by itself.
    fn is_about_to_send(&self) -> bool {
        let input = self.input_fd.as_ref().map(AsFd::as_fd).or(self.input.standard);
        let Some(input) = input else { return self.sent.has_in_flight() };
        let mut fds = [PollFd::from_borrowed_fd(input, PollFlags::IN)];
        let ready = poll_until(&mut fds, Some(Instant::now()));
        self.sent.has_in_flight() || ready.is_ok_and(|ready| ready > 0)
    }

    /// Whether stdin is the input and holds bytes that have not been read yet.
    fn has_pending_stdin(&self) -> bool {
        self.input.standard.is_some_and(|fd| rustix::io::ioctl_fionread(fd).unwrap_or(0) > 0)
    }

    /// Resets a connection that is not complete, so that the peer cannot take what it received for
    /// everything. A terminal's input never is complete.
    fn close_connection(&self, outcome: &DuplexOutcome) {
        let all_sent = matches!(self.up, UpState::Done) || self.endless;
        let all_received = matches!(self.down, DownState::Done);
        match &outcome.outcome {
            Ok(()) if all_sent || all_received => {
                if self.options.shared_input {
                    self.connection.shutdown();
                }
            }
            Err(failure) if failure.phase == Phase::Receive && all_sent => {
                self.connection.shutdown();
            }
            _ => self.connection.abort(),
        }
    }
}

fn has_passed(deadline: Instant) -> bool {
    deadline <= Instant::now()
}

#[cfg(test)]
mod tests;
