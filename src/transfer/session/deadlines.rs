//! The deadlines of a session, and what is in flight at a moment.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::{ACK_POLL, Session, has_passed};
use crate::net::activity::IDLE_AFTER;
use crate::poll::{earliest, poll_until};
use crate::transfer::directions::DirectionState;
use crate::transfer::options::{OnLocalEof, SILENCE_LIMIT};

/// Interval of an observer's ticks.
const TICK: Duration = Duration::from_millis(20);

impl Session<'_> {
    /// The next moment that is of interest whatever the states of the directions.
    pub(super) fn own_deadline(&self) -> Option<Instant> {
        let now = Instant::now();
        let tick = self.observer.needs_ticks().then(|| now + TICK);
        // Past the silence something is still in flight.
        let quiet = self.is_draining().then(|| (self.moved_at() + IDLE_AFTER).max(now + ACK_POLL));
        // Past the input timeout something is still in flight.
        let input = self.input_deadline().map(|deadline| deadline.max(now + ACK_POLL));
        earliest(earliest(tick, quiet), earliest(self.silence_deadline(), input))
    }

    /// When a silent peer is to be warned about.
    pub(super) fn silence_deadline(&self) -> Option<Instant> {
        let may_warn = self.can_warn_of_silence && matches!(self.down, DirectionState::Running);
        may_warn.then(|| self.moved_at() + SILENCE_LIMIT)
    }

    /// When the input has been silent for the input timeout.
    pub(super) fn input_deadline(&self) -> Option<Instant> {
        let may_end = match self.up {
            DirectionState::Running => self.cancel.is_some(),
            DirectionState::NoInput(_) => true,
            _ => false,
        };
        let limit = self.options.input_timeout.filter(|_| may_end)?;
        self.idle_since().checked_add(limit)
    }

    /// When a silent input ends the session after the peer's end of stream, unless something is
    /// still in flight.
    pub(super) fn exit_deadline(&self) -> Option<Instant> {
        let limit = self.options.exit_on_eof?;
        let earliest = if limit.is_zero() || !self.has_unsent() {
            self.times.peer_ended_at
        } else {
            Some(Instant::now() + ACK_POLL)
        };
        self.moved_at().max(earliest?).checked_add(limit)
    }

    pub(super) fn linger_deadline(&self) -> Option<Instant> {
        self.moved_at().checked_add(self.options.linger?)
    }

    /// Whether `linger` has passed with nothing in flight. What a Unix peer has not read yet is in
    /// its own queue.
    pub(super) fn has_lingered(&self) -> bool {
        let is_delivered =
            || self.info.peer.inet().is_none() || self.connection.unacked_bytes() == 0;
        self.linger_deadline().is_some_and(has_passed)
            && !self.received.has_in_flight()
            && !self.connection.has_unread()
            && is_delivered()
    }

    /// Whether the end of the local input ends the session by now.
    pub(super) fn can_close(&self) -> bool {
        match self.options.on_local_eof {
            OnLocalEof::HangUp => self.connection.unacked_bytes() == 0,
            OnLocalEof::SendOnly => self.connection.is_quiescent(),
            OnLocalEof::HalfClose | OnLocalEof::KeepOpen => false,
        }
    }

    /// Whether a shutdown has begun that lets the session finish.
    pub(super) fn is_draining(&self) -> bool {
        self.options.is_server && self.shutdown.reason().is_some()
    }

    /// When the last byte moved, or the first was allowed to. A slow peer takes long until there is
    /// room to send more, and acknowledges bytes meanwhile.
    pub(super) fn idle_since(&self) -> Instant {
        self.moved_at().max(self.times.begins_at).max(self.acked_at())
    }

    /// When the number of unacknowledged bytes was last seen to be smaller than before.
    fn acked_at(&self) -> Instant {
        let unacked = self.connection.unacked_bytes();
        if unacked < self.times.unacked.replace(unacked) {
            self.times.acked_at.set(Instant::now());
        }
        self.times.acked_at.get()
    }

    /// When the last byte moved in either direction, or the input ended.
    pub(super) fn moved_at(&self) -> Instant {
        self.sent.moved_at().max(self.received.moved_at()).max(self.times.input_sent_at)
    }

    /// Whether nothing has been in flight for [`IDLE_AFTER`].
    pub(super) fn is_quiet(&self) -> bool {
        self.moved_at().elapsed() >= IDLE_AFTER && self.connection.is_quiescent()
    }

    /// Whether bytes of the input are in flight to the peer's kernel.
    pub(super) fn has_unsent(&self) -> bool {
        self.sent.has_in_flight() || self.connection.unacked_bytes() > 0
    }

    /// Whether our direction holds bytes, or its input does: it then fails, or ends, by itself.
    pub(super) fn is_about_to_send(&self) -> bool {
        let Some(input) = self.input() else { return self.sent.has_in_flight() };
        let mut fds = [PollFd::from_borrowed_fd(input, PollFlags::IN)];
        let ready = poll_until(&mut fds, Some(Instant::now()));
        self.sent.has_in_flight() || ready.is_ok_and(|ready| ready > 0)
    }

    /// Whether bytes of the input have been read and not sent, or not been read yet.
    pub(super) fn has_pending_input(&self) -> bool {
        let unread = |fd| rustix::io::ioctl_fionread(fd).unwrap_or(0);
        self.sent.has_in_flight() || self.input().is_some_and(|fd| unread(fd) > 0)
    }

    fn input(&self) -> Option<BorrowedFd<'_>> {
        self.input_fd.as_ref().map(AsFd::as_fd).or(self.input.standard)
    }
}
