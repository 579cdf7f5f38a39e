//! Who decides when a conversation is over, and how it ended.

use std::io::{ErrorKind, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::directions::{DirectionEvent, EventReceiver};
use super::duplex::{DuplexObserver, DuplexOptions, DuplexOutcome, OnLocalEof};
use super::outcome::{failure, success};
use super::{Meter, TransferError};
use crate::error::{Failure, Phase};
use crate::net::activity::IDLE_AFTER;
use crate::net::stdio::reader_closed;
use crate::net::stream::{ConnectionHandle, ConnectionInfo, EndedBy, Writer};
use crate::shutdown::{Shutdown, poll_until};

/// How often time itself is looked at: idle limits, progress, bytes that are not acknowledged yet.
const TICK: Duration = Duration::from_millis(20);
/// How often it is checked whether the peer has been silent for long enough to warn.
const SLOW_TICK: Duration = Duration::from_millis(200);
/// After the peer's reset, how long our own flow may take to notice.
const SEND_ERROR_GRACE: Duration = Duration::from_millis(60);
/// After our sending broke, how long the peer's last words may take to arrive.
const DRAIN_AFTER_SEND_ERROR: Duration = Duration::from_secs(2);

/// What the referee knows from the beginning.
pub(super) struct Session {
    pub(super) notes: EventReceiver,
    pub(super) sent: Meter,
    pub(super) received: Meter,
    pub(super) input: (Phase, String),
    pub(super) output: (Phase, String),
    pub(super) endless: bool,
    pub(super) hangup: ConnectionHandle,
    pub(super) facts: ConnectionInfo,
    /// Closed at the end: whoever still waits for shared input lets go of it.
    pub(super) release: PipeWriter,
    /// Whether the null device is our input, and a silent peer worth a warning.
    pub(super) warns: bool,
    /// Whether a layer tells the ends of both directions by itself (TLS).
    pub(super) says_goodbye: bool,
    /// Our input, if it is a file of its own.
    pub(super) source: Option<OwnedFd>,
    /// The writer of a session without input, until our end of stream is sent.
    pub(super) idle_writer: Option<Box<dyn Writer>>,
}

/// How far one direction has come.
#[derive(Debug, Default)]
pub(super) enum DirectionState {
    #[default]
    Running,
    /// All of our input is sent, and the half-close is under way.
    Ending,
    Done,
    Broke(TransferError),
    /// All sent, but the half-close failed.
    Unfinished(std::io::Error),
}

/// What the referee learns as time goes by.
pub(super) struct SessionState {
    pub(super) up: DirectionState,
    pub(super) down: DirectionState,
    /// Who said first that there is no more.
    pub(super) first: Option<EndedBy>,
    moved: u64,
    pub(super) moved_at: Instant,
    /// Until when our own `--delay` lasts, which is no idleness of the peer's.
    begins_at: Instant,
    pub(super) broke_at: Option<Instant>,
    /// Whether the warning about a silent peer has been given.
    pub(super) warned: bool,
}

impl SessionState {
    /// Whether so much time has passed since the first thing went wrong.
    fn has_waited(&self, time: Duration) -> bool {
        self.broke_at.is_some_and(|at| at.elapsed() >= time)
    }
}

/// An error by which the kernel says that there is no connection any more.
fn is_gone(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::NotConnected | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

impl Session {
    /// Watches the two flows until the conversation is over. What is returned beside the verdict
    /// releases shared input when dropped.
    pub(super) fn run(
        mut self,
        terms: &DuplexOptions,
        witness: &dyn DuplexObserver,
        stop: &Shutdown,
    ) -> (DuplexOutcome, PipeWriter) {
        let mut state = SessionState {
            up: if self.idle_writer.is_none() {
                DirectionState::Running
            } else {
                DirectionState::Done
            },
            down: DirectionState::Running,
            first: None,
            moved: 0,
            moved_at: Instant::now(),
            begins_at: Instant::now() + terms.delay,
            broke_at: None,
            warned: !self.warns,
        };
        loop {
            self.drain_events(&mut state, witness);
            self.note_movement(&mut state);
            witness.tick();
            self.warn_if_silent(&mut state, witness);
            self.end_without_input(&mut state, terms, witness, stop);
            if let Some(over) = self.check_finished(&mut state, terms, stop) {
                self.close_connection(&state, &over, terms);
                return (over, self.release);
            }
            if let Err(e) = self.wait(&state, terms, witness, stop) {
                let failure = Failure::new(Phase::Receive, &self.facts.peer, e);
                return (DuplexOutcome { by: EndedBy::Us, outcome: Err(failure) }, self.release);
            }
        }
    }

    /// Reads the notes of the two flows.
    fn drain_events(&self, state: &mut SessionState, witness: &dyn DuplexObserver) {
        let mut rings = [0; 64];
        let _ = rustix::io::read(&self.notes.bell, &mut rings);
        while let Ok(note) = self.notes.notes.try_recv() {
            match note {
                DirectionEvent::UpEnding => {
                    state.up = DirectionState::Ending;
                    state.first.get_or_insert(EndedBy::Us);
                    witness.on_local_eof();
                }
                DirectionEvent::UpDone => {
                    state.up = DirectionState::Done;
                    state.moved_at = Instant::now();
                    state.first.get_or_insert(EndedBy::Us);
                }
                DirectionEvent::UpBroke(broken) => {
                    state.up = DirectionState::Broke(broken);
                    state.broke_at.get_or_insert_with(Instant::now);
                }
                DirectionEvent::FinishFailed(e) => {
                    state.up = DirectionState::Unfinished(e);
                    state.broke_at.get_or_insert_with(Instant::now);
                }
                DirectionEvent::DownDone => {
                    state.down = DirectionState::Done;
                    state.first.get_or_insert(EndedBy::Peer);
                    witness.on_peer_eof();
                    if matches!(state.up, DirectionState::Running) {
                        self.hangup.probe_peer();
                    }
                }
                DirectionEvent::DownBroke(broken) => {
                    state.down = DirectionState::Broke(broken);
                    state.broke_at.get_or_insert_with(Instant::now);
                }
            }
        }
    }

    fn check_finished(
        &self,
        state: &mut SessionState,
        terms: &DuplexOptions,
        stop: &Shutdown,
    ) -> Option<DuplexOutcome> {
        if let Some(reason) = stop.reason()
            && (!terms.finishes || self.is_quiet(state))
        {
            let said_all = matches!(state.up, DirectionState::Done) && self.idle_writer.is_none();
            return Some(match terms.finishes && (said_all || self.endless) {
                true => success(reason.into()),
                false => self.stopped(state, reason),
            });
        }
        if self.output.0 == Phase::Stdout && reader_closed(rustix::stdio::stdout()) {
            return Some(success(EndedBy::Us));
        }
        match (&state.up, &state.down) {
            (_, DirectionState::Broke(TransferError::Write(e))) => Some(self.output_broke(e)),
            (DirectionState::Broke(TransferError::Read(e)), _) => Some(self.input_broke(e)),
            (DirectionState::Broke(TransferError::Write(e)), DirectionState::Running) => {
                state.has_waited(DRAIN_AFTER_SEND_ERROR).then(|| self.send_broke(e))
            }
            (DirectionState::Broke(TransferError::Write(e)), _) => Some(self.send_broke(e)),
            (up, DirectionState::Broke(TransferError::Read(e))) => {
                // If our flow has something in hand, it learns in a moment that it cannot send it.
                let sending = matches!(up, DirectionState::Running | DirectionState::Ending);
                let known = !sending || state.has_waited(SEND_ERROR_GRACE);
                known.then(|| self.receive_broke(up, e))
            }
            // A peer that is gone altogether needs no half-close, and its end arrives in a moment.
            (DirectionState::Unfinished(e), DirectionState::Done) if is_gone(e) => {
                self.both_done(state)
            }
            (DirectionState::Unfinished(e), _)
                if is_gone(e) && !state.has_waited(SEND_ERROR_GRACE) =>
            {
                None
            }
            (DirectionState::Unfinished(e), _) => Some(self.finish_broke(e)),
            (DirectionState::Done, DirectionState::Done) => self.both_done(state),
            (DirectionState::Done, _)
                if self.can_close(terms) || self.has_lingered(state, terms) =>
            {
                Some(success(EndedBy::Us))
            }
            (DirectionState::Running, DirectionState::Done)
                if self.endless || terms.exit_on_eof =>
            {
                Some(success(state.first.unwrap_or(EndedBy::Peer)))
            }
            (DirectionState::Running, DirectionState::Done) if self.is_gone() => {
                state.broke_at.get_or_insert_with(Instant::now);
                self.lost_peer(state)
            }
            _ => self.idle_too_long(state, terms),
        }
    }

    /// Waits for a note, for our reader to leave, for the end, or for time to pass.
    fn wait(
        &self,
        state: &SessionState,
        terms: &DuplexOptions,
        witness: &dyn DuplexObserver,
        stop: &Shutdown,
    ) -> std::io::Result<()> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.notes.bell.as_fd(), PollFlags::IN)];
        if self.output.0 == Phase::Stdout {
            // Nothing to wait for but its reader's leaving, which poll(2) always tells.
            let stdout = rustix::stdio::stdout();
            fds.push(PollFd::from_borrowed_fd(stdout, PollFlags::empty()));
        }
        let is_open =
            matches!((&state.up, &state.down), (DirectionState::Running, DirectionState::Done));
        if is_open && state.broke_at.is_none() {
            // A hangup or an error, which poll(2) always reports: the connection is gone.
            let socket = self.hangup.socket().as_fd();
            fds.push(PollFd::from_borrowed_fd(socket, PollFlags::empty()));
        }
        let tick = match self.ticks(state, terms, witness, stop) {
            true => Some(TICK),
            false => self.may_warn(state).then_some(SLOW_TICK),
        };
        let until = tick.map(|tick| Instant::now() + tick);
        match terms.finishes && stop.reason().is_some() {
            // The cord hangs down already: only the conversation itself is waited for.
            true => poll_until(&mut fds, until).map(drop),
            false => stop.wait_any(&mut fds, until).map(drop),
        }
    }

    /// Whether time has to be looked at, and not only events.
    fn ticks(
        &self,
        state: &SessionState,
        terms: &DuplexOptions,
        witness: &dyn DuplexObserver,
        stop: &Shutdown,
    ) -> bool {
        let up_done = matches!(state.up, DirectionState::Done);
        let both_done = up_done && matches!(state.down, DirectionState::Done);
        witness.needs_ticks()
            || terms.idle.is_some()
            || state.broke_at.is_some()
            || both_done
            || (up_done && (terms.on_end != OnLocalEof::HalfClose || terms.linger.is_some()))
            || stop.reason().is_some()
    }

    fn idle_too_long(&self, state: &SessionState, terms: &DuplexOptions) -> Option<DuplexOutcome> {
        let limit = terms.idle?;
        let late = state.moved_at.max(state.begins_at).elapsed() >= limit;
        late.then(|| {
            let stage = if self.hangup.unacked_bytes() > 0 { Phase::Send } else { Phase::Receive };
            failure(EndedBy::Timeout, Failure::timeout(stage, &self.facts.peer, limit))
        })
    }

    /// Whether nothing is under way, as far as can be seen.
    pub(super) fn is_quiet(&self, state: &SessionState) -> bool {
        state.moved_at.elapsed() >= IDLE_AFTER && self.hangup.is_quiescent()
    }

    fn note_movement(&self, state: &mut SessionState) {
        let moved = self.sent.total() + self.received.total();
        if moved != state.moved {
            state.moved = moved;
            state.moved_at = Instant::now();
        }
    }

    /// An end in the middle must not look like the end: unless we had said everything, or talk
    /// from a terminal was broken off, the peer gets a reset.
    fn close_connection(&self, state: &SessionState, over: &DuplexOutcome, terms: &DuplexOptions) {
        let said_all = matches!(state.up, DirectionState::Done) && self.idle_writer.is_none();
        let heard_all = matches!(state.down, DirectionState::Done);
        match &over.outcome {
            Ok(()) if said_all || heard_all || self.endless => {
                if terms.shared_input {
                    self.hangup.shutdown();
                }
            }
            Err(failure) if failure.stage == Phase::Receive && (said_all || self.endless) => {
                self.hangup.shutdown();
            }
            _ => self.hangup.abort(),
        }
    }
}
