//! When a session may end: whether anything is undelivered, and whether the peer is gone.

use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use super::duplex::{DuplexOptions, DuplexOutcome, OnLocalEof};
use super::outcome::{failure, success};
use super::session::{Session, SessionState};
use crate::error::Phase;
use crate::net::stdio::reader_closed;
use crate::net::stream::EndedBy;
use crate::shutdown::poll_until;

impl Session {
    /// After both ends: what the kernel still holds of ours is delivered while we wait, or refused.
    pub(super) fn both_done(&self, state: &SessionState) -> Option<DuplexOutcome> {
        let done = success(state.first.unwrap_or(EndedBy::Peer));
        // In this order: a Unix socket's bytes vanish with its peer, which has left an error.
        let undelivered = self.hangup.unacked_bytes();
        let error = self.hangup.socket().take_error().ok().flatten();
        let unacknowledged = self.hangup.unacknowledged(self.sent.total());
        match error {
            // After the peer's close_notify a reset is what our own gets from a peer that has
            // closed by then, and everything before it has arrived.
            Some(e) if self.sent.total() > 0 && (unacknowledged || !self.says_goodbye) => {
                Some(self.send_broke(&e))
            }
            Some(_) => Some(done),
            None if undelivered == 0 => Some(done),
            // A failed half-close has taken the error.
            None if self.hangup.is_closed() && unacknowledged => {
                Some(failure(EndedBy::Reset, self.undelivered()))
            }
            None => self.hangup.is_closed().then_some(done),
        }
    }

    /// After the end of our input: whether this kind of conversation is over.
    pub(super) fn can_close(&self, terms: &DuplexOptions) -> bool {
        match terms.on_end {
            OnLocalEof::HangUp => self.hangup.unacked_bytes() == 0,
            OnLocalEof::SendOnly => self.hangup.is_quiescent(),
            OnLocalEof::HalfClose | OnLocalEof::KeepOpen => false,
        }
    }

    /// `--linger`: whether the peer has been silent for so long after the end of our input, with
    /// nothing undelivered either way. What a Unix peer has not read yet is in its own queue.
    pub(super) fn has_lingered(&self, state: &SessionState, terms: &DuplexOptions) -> bool {
        let is_delivered = || self.facts.peer.inet().is_none() || self.hangup.unacked_bytes() == 0;
        terms.linger.is_some_and(|limit| state.moved_at.elapsed() >= limit)
            && !self.received.has_in_flight()
            && !self.hangup.has_unread()
            && is_delivered()
    }

    /// Whether a connection that we have not half-closed is gone in both directions: a reset, a
    /// failed probe, a Unix peer that has closed. A peer that has only half-closed still reads.
    pub(super) fn is_gone(&self) -> bool {
        reader_closed(self.hangup.socket().as_fd())
    }

    /// After the peer's end: the session is over once the connection is gone and nothing waits to
    /// be sent. What the peer's kernel never acknowledged is an error.
    pub(super) fn lost_peer(&self, state: &SessionState) -> Option<DuplexOutcome> {
        if !self.is_gone() || self.peer_still_sending() {
            return None;
        }
        Some(match self.hangup.unacknowledged(self.sent.total()) {
            true => failure(EndedBy::Reset, self.undelivered()),
            false => success(state.first.unwrap_or(EndedBy::Peer)),
        })
    }

    /// Whether our flow is about to send something, or to end: it has bytes in hand, or its source
    /// has. It will learn by itself that nobody is there.
    fn peer_still_sending(&self) -> bool {
        let source = match (&self.source, &self.input.0) {
            (Some(source), _) => source.as_fd(),
            (None, Phase::Stdin) => rustix::stdio::stdin(),
            (None, _) => return self.sent.has_in_flight(),
        };
        let mut fds = [PollFd::from_borrowed_fd(source, PollFlags::IN)];
        let ready = poll_until(&mut fds, Some(Instant::now()));
        self.sent.has_in_flight() || ready.is_ok_and(|ready| ready > 0)
    }

    /// Whether our input holds something that has not been taken yet.
    pub(super) fn input_waits(&self) -> bool {
        let waiting = rustix::io::ioctl_fionread(rustix::stdio::stdin()).unwrap_or(0);
        self.input.0 == Phase::Stdin && waiting > 0
    }
}
