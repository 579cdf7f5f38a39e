//! A session of two running directions: what it waits for, and how it closes the connection. When
//! it is over is decided in `step`, by the deadlines in `deadlines`.
//!
//! In flight are bytes that were read from one end and not delivered at the other. A session is
//! *quiescent* while nothing is in flight, *quiet* when that has been so for [`IDLE_AFTER`], and *idle*
//! since the last byte moved. A peer is *silent* since it last sent a byte.
//!
//! [`IDLE_AFTER`]: crate::net::activity::IDLE_AFTER

use std::cell::Cell;
use std::io::PipeWriter;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::Meter;
use super::directions::{DirectionEvent, DirectionState, EventQueue};
use super::local::LocalFile;
use super::options::{DuplexObserver, DuplexOptions};
use super::outcome::DuplexOutcome;
use crate::error::{Failure, Phase};
use crate::net::stream::{ConnectionHandle, ConnectionInfo, EndedBy};
use crate::poll::{clear, earliest, poll_until};
use crate::shutdown::Shutdown;

mod deadlines;
mod step;

/// Interval at which the kernel is asked for what it reports by no event: acknowledged bytes.
const ACK_POLL: Duration = Duration::from_millis(20);

/// What follows from the states of both directions.
#[derive(Debug)]
enum SessionStep {
    Finish(DuplexOutcome),
    /// Wait for an event, at most until the deadline.
    Wait(Option<Instant>),
    /// As `Wait`; a connection that is closed in both directions is an event too.
    WaitOrHangup(Option<Instant>),
}

/// A session of two running directions.
pub(super) struct Session<'a> {
    pub(super) queue: EventQueue,
    /// The thread of the upload, where it has one.
    pub(super) upload: Option<JoinHandle<()>>,
    /// Dropped to end the upload; `None` when it cannot be ended.
    pub(super) cancel: Option<PipeWriter>,
    /// From the local input to the peer.
    pub(super) up: DirectionState,
    /// From the peer to the local output.
    pub(super) down: DirectionState,
    pub(super) sent: Meter,
    pub(super) received: Meter,
    pub(super) input: LocalFile,
    pub(super) output: LocalFile,
    /// The local input, if it is a file other than stdin.
    pub(super) input_fd: Option<OwnedFd>,
    /// Whether the local input is a terminal.
    pub(super) has_terminal_input: bool,
    pub(super) connection: ConnectionHandle,
    pub(super) info: ConnectionInfo,
    pub(super) options: DuplexOptions,
    pub(super) observer: &'a dyn DuplexObserver,
    pub(super) shutdown: &'a Shutdown,
    pub(super) times: Times,
    /// Whether a silent peer is still to be warned about.
    pub(super) can_warn_of_silence: bool,
}

/// When the events of a session happened; its bytes are counted by the meters.
pub(super) struct Times {
    /// Who sent the first end of stream.
    first_eof: Option<EndedBy>,
    /// When the input was sent completely, or the session started.
    input_sent_at: Instant,
    /// When the first byte may be sent: `delay` does not count as idle.
    begins_at: Instant,
    /// When the peer's end of stream was received.
    peer_ended_at: Option<Instant>,
    /// The first failure of a direction.
    failed_at: Option<Instant>,
    /// When the peer was last seen to have acknowledged bytes.
    acked_at: Cell<Instant>,
    /// How many bytes it had not acknowledged then.
    unacked: Cell<usize>,
}

impl Times {
    /// A session that starts now.
    pub(super) fn start(delay: Duration) -> Times {
        let now = Instant::now();
        let begins_at = now.checked_add(delay).unwrap_or(now);
        Times {
            first_eof: None,
            input_sent_at: now,
            begins_at,
            peer_ended_at: None,
            failed_at: None,
            acked_at: Cell::new(now),
            unacked: Cell::new(0),
        }
    }
}

impl Session<'_> {
    /// Waits until the session is over, and closes or resets the connection.
    pub(super) fn run(mut self) -> DuplexOutcome {
        let outcome = self.wait_until_over();
        self.cancel = None;
        if self.options.is_server {
            self.upload.take().map(JoinHandle::join);
        }
        outcome
    }

    fn wait_until_over(&mut self) -> DuplexOutcome {
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
        clear(&self.queue.wake);
        while let Ok(event) = self.queue.events.try_recv() {
            self.on_event(event);
            let (up, down) = (self.up.name(), self.down.name());
            let (sent, received) = (self.sent.total(), self.received.total());
            tracing::debug!(up, down, sent, received, "state of both directions");
        }
    }

    fn on_event(&mut self, event: DirectionEvent) {
        let now = Instant::now();
        let ended_by = match &event {
            DirectionEvent::Up(DirectionState::Ending) => {
                self.observer.on_local_eof();
                Some(EndedBy::Local)
            }
            DirectionEvent::Up(DirectionState::Done) => {
                self.times.input_sent_at = now;
                Some(EndedBy::Local)
            }
            DirectionEvent::Down(DirectionState::Done) => {
                self.times.peer_ended_at = Some(now);
                self.observer.on_peer_eof();
                if matches!(self.up, DirectionState::Running) {
                    self.connection.probe_peer();
                }
                Some(EndedBy::Peer)
            }
            _ => {
                self.times.failed_at.get_or_insert(now);
                None
            }
        };
        self.times.first_eof = self.times.first_eof.or(ended_by);
        match event {
            DirectionEvent::Up(state) => self.up = state,
            DirectionEvent::Down(state) => self.down = state,
        }
    }

    /// Warns once about a peer that may be waiting for our end of stream.
    fn warn_if_silent(&mut self) {
        if self.silence_deadline().is_some_and(has_passed) {
            self.can_warn_of_silence = false;
            self.observer.peer_silent_without_input();
        }
    }

    /// Ends an input that has been silent for the input timeout, once all of it is delivered.
    fn end_silent_input(&mut self) {
        if matches!(self.up, DirectionState::Running)
            && self.input_deadline().is_some_and(has_passed)
            && !self.has_unsent()
        {
            self.cancel = None;
        }
    }

    /// Without input, our end of stream follows the peer's, the silence that the input timeout or
    /// `linger` allows, or the drain of the server.
    fn send_eof_without_input(&mut self) {
        let is_due = || {
            matches!(self.down, DirectionState::Done)
                || self.is_draining() && self.is_quiet()
                || self.input_deadline().is_some_and(has_passed)
                || self.has_lingered()
        };
        if !matches!(self.up, DirectionState::NoInput(_)) || !is_due() {
            return;
        }
        let up = std::mem::replace(&mut self.up, DirectionState::Done);
        if let DirectionState::NoInput(mut writer) = up {
            self.times.first_eof.get_or_insert(EndedBy::Local);
            self.observer.on_local_eof();
            if let Err(e) = writer.half_close() {
                self.on_event(DirectionEvent::Up(DirectionState::HalfCloseFailed(e)));
            }
        }
    }

    /// Waits for what `step` names, for a direction, for stdout to close, or for a shutdown.
    fn wait(&self, step: SessionStep) -> std::io::Result<()> {
        let mut fds = vec![PollFd::new(&self.queue.wake, PollFlags::IN)];
        // poll(2) always reports that its reader has closed.
        let stdout = self.output.standard;
        fds.extend(stdout.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
        if matches!(step, SessionStep::WaitOrHangup(_)) {
            fds.push(PollFd::new(self.connection.socket(), PollFlags::empty()));
        }
        let (SessionStep::Wait(deadline) | SessionStep::WaitOrHangup(deadline)) = step else {
            return Ok(());
        };
        let deadline = earliest(deadline, self.own_deadline());
        if self.is_draining() {
            // The shutdown has happened: it is no event any more.
            poll_until(&mut fds, deadline).map(drop)
        } else {
            self.shutdown.wait_any(&mut fds, deadline).map(drop)
        }
    }

    /// Resets a connection that is not complete, so that the peer cannot take what it received for
    /// everything. A terminal's input has no end, so it always counts as sent.
    fn close_connection(&self, outcome: &DuplexOutcome) {
        let all_sent = self.is_all_sent();
        let all_received = matches!(self.down, DirectionState::Done);
        match &outcome.outcome {
            Ok(()) if all_sent || all_received => {
                if self.options.is_server {
                    self.connection.shutdown();
                }
            }
            Err(failure) if failure.phase == Phase::Receive && all_sent => {
                self.connection.shutdown();
            }
            _ => self.connection.abort(),
        }
    }

    fn is_all_sent(&self) -> bool {
        matches!(self.up, DirectionState::Done) || self.has_terminal_input
    }
}

fn has_passed(deadline: Instant) -> bool {
    deadline <= Instant::now()
}

#[cfg(test)]
mod tests;
