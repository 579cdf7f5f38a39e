//! The state of a relayed connection that its two threads share.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::PollFd;

use super::peer_socket::PeerSocket;
use super::progress::{Progress, ResetCause};
use super::stop_reason::StopReason;
use crate::error::Failure;
use crate::net::stream::EndedBy;
use crate::poll::poll_until;
use crate::relay::direction::Direction;
use crate::transfer::Meter;

/// How long bytes that were relayed before a reset have to reach the other peer, before the reset is
/// passed on: a reset discards what is not sent yet (tcp(7), `SO_LINGER`).
pub const RESET_GRACE: Duration = Duration::from_millis(50);

/// Both sockets of a relayed connection, and how far the two directions are.
#[derive(Debug)]
pub struct SessionState {
    /// The socket of the client.
    pub client: PeerSocket,
    /// The socket of the target.
    pub target: PeerSocket,
    /// Counts the bytes that were passed to the target.
    pub to_target: Meter,
    /// Counts the bytes that were passed to the client.
    pub to_client: Meter,
    /// The connection is reset if no byte moves for this long.
    idle_timeout: Option<Duration>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

impl SessionState {
    /// The state of a session between two connected sockets.
    pub fn new(
        client: PeerSocket,
        target: PeerSocket,
        idle_timeout: Option<Duration>,
    ) -> SessionState {
        SessionState {
            client,
            target,
            to_target: Meter::default(),
            to_client: Meter::default(),
            idle_timeout,
            progress: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The peer that sends in `direction`.
    pub fn source(&self, direction: Direction) -> &PeerSocket {
        match direction {
            Direction::ToTarget => &self.client,
            Direction::ToClient => &self.target,
        }
    }

    /// The peer that receives in `direction`.
    pub fn destination(&self, direction: Direction) -> &PeerSocket {
        self.source(direction.opposite())
    }

    /// The counter of `direction`.
    pub fn meter(&self, direction: Direction) -> &Meter {
        match direction {
            Direction::ToTarget => &self.to_target,
            Direction::ToClient => &self.to_client,
        }
    }

    /// Waits until one of `fds` is ready.
    ///
    /// Fails with [`StopReason::Idle`] once no byte has moved in either direction for the idle timeout.
    pub fn poll(&self, fds: &mut [PollFd<'_>]) -> io::Result<()> {
        loop {
            if poll_until(fds, self.idle_deadline())? > 0 {
                return Ok(());
            }
            if self.idle_deadline().is_some_and(|at| at <= Instant::now()) {
                return Err(StopReason::Idle.into());
            }
        }
    }

    fn idle_deadline(&self) -> Option<Instant> {
        let moved_at = || self.to_target.moved_at().max(self.to_client.moved_at());
        self.idle_timeout.and_then(|timeout| moved_at().checked_add(timeout))
    }

    /// Records that the stream of `direction` was ended, by its source or by a fault.
    pub fn set_stream_ended(&self, direction: Direction, by: EndedBy) {
        let mut progress = self.lock();
        progress.first_end.get_or_insert(by);
        progress.of(direction).has_stream_ended = true;
        self.changed.notify_all();
    }

    /// Resets both connections, after what was relayed before has been acknowledged or
    /// [`RESET_GRACE`] has passed; the first cause counts.
    pub fn reset_both(&self, cause: ResetCause, grace: Duration) {
        {
            let mut progress = self.lock();
            if progress.reset_cause.is_some() {
                return;
            }
            progress.reset_cause = Some(cause);
        }
        self.changed.notify_all();
        let deadline = Instant::now() + grace;
        for peer in [&self.client, &self.target] {
            peer.wait_until_acked(deadline);
            peer.handle.abort();
        }
    }

    /// Shuts down both connections after an orderly end of both directions, which wakes the threads
    /// of faults that still discard what a peer sends. Bytes before it have [`RESET_GRACE`] to arrive.
    ///
    /// A peer that may still send is reset, which does not take back the end of stream that it has
    /// received: after a close alone, a sender that waits for a window (RFC 9293 §3.8.6.1) would learn
    /// of it when the kernel forgets the connection (tcp(7), `tcp_fin_timeout`).
    pub fn close(&self) {
        let deadline = Instant::now() + RESET_GRACE;
        for peer in [&self.client, &self.target] {
            peer.wait_until_acked(deadline);
            if peer.only_sends() {
                peer.handle.abort();
            } else {
                peer.handle.shutdown();
            }
        }
    }

    /// Whether the source of `direction` has ended its stream, or a fault has ended it.
    pub fn has_stream_ended(&self, direction: Direction) -> bool {
        self.lock().of(direction).has_stream_ended
    }

    /// Waits until the stream of `direction` has ended or the connection was reset.
    pub fn wait_stream_ended(&self, direction: Direction) {
        let lasts = |progress: &mut Progress| {
            !progress.of(direction).has_stream_ended && progress.reset_cause.is_none()
        };
        drop(self.changed.wait_while(self.lock(), lasts));
    }

    /// Whether both connections were reset, or are about to be.
    pub fn is_reset(&self) -> bool {
        self.lock().reset_cause.is_some()
    }

    /// Records that the thread of `direction` is about to exit.
    pub fn set_thread_exited(&self, direction: Direction) {
        self.lock().of(direction).has_thread_exited = true;
        self.changed.notify_all();
    }

    /// Waits until the thread of `direction` exits, at most for `timeout`.
    pub fn wait_thread_exited(&self, direction: Direction, timeout: Option<Duration>) {
        let runs = |progress: &mut Progress| !progress.of(direction).has_thread_exited;
        let progress = self.lock();
        match timeout {
            Some(timeout) => drop(self.changed.wait_timeout_while(progress, timeout, runs)),
            None => drop(self.changed.wait_while(progress, runs)),
        }
    }

    /// The result, once both threads have ended: the peer that ended its stream first.
    ///
    /// Fails with the failure that caused a reset.
    pub fn outcome(&self) -> Result<EndedBy, Failure> {
        let mut progress = self.lock();
        match (progress.reset_cause.take(), progress.first_end) {
            (Some(ResetCause::Failure(failure)), _) => Err(failure),
            (Some(ResetCause::Fault), _) => Ok(EndedBy::Fault),
            (None, by) => Ok(by.unwrap_or(EndedBy::Client)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
