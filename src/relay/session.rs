//! A relayed connection: two directions, a thread each.
//!
//! Each thread owns the reading of one peer, its source, for as long as the connection exists:
//!
//! | state of a direction | event | then |
//! |---|---|---|
//! | copying | end of the source's stream | half-close the destination; watching |
//! | copying | the source was reset, or ended without close_notify | reset both |
//! | copying, destination full | the source was reset | reset both |
//! | copying | a write fails | let the other direction deliver what has arrived; reset both |
//! | watching | the source was reset | reset both |
//! | watching | both streams of the source have ended | ended |
//! | any | no byte has moved for the idle timeout, shutdown | reset both |
//! | any | the other direction resets both | ended |
//!
//! A reset is sent by a close with `SO_LINGER` 0. A Unix socket cannot send one: its peer sees an end
//! of stream, or a reset if there was unread data (unix(7)).

use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::copy;
use super::direction::Direction;
use super::halves::{RelayReader, RelayWriter};
use super::peer_socket::{Hangup, PeerSocket};
use super::state::{Interruption, RESET_GRACE, SessionState, StopReason};
use crate::error::{Failure, Phase};
use crate::net::stream::{Reader, Stream, Writer};
use crate::shutdown::{Shutdown, ShutdownReason};
use crate::transfer::{TransferError, TransferOptions};

/// Called when the source of a direction has ended its stream.
pub type OnHalfClose = Box<dyn Fn(Direction) + Send + Sync>;

/// The two directions of a session, not started yet.
pub struct Session {
    /// What both share.
    pub state: Arc<SessionState>,
    /// From the client to the target.
    pub to_target: DirectionTask,
    /// From the target to the client.
    pub to_client: DirectionTask,
}

/// What applies to each session.
pub struct SessionOptions {
    /// The connection is interrupted if no byte moves for this long.
    pub idle_timeout: Option<Duration>,
    /// The end of the run.
    pub shutdown: Shutdown,
    /// Called at each half-close.
    pub on_half_close: Arc<OnHalfClose>,
}

/// One direction; it runs on a thread of its own.
pub struct DirectionTask {
    direction: Direction,
    reader: RelayReader,
    writer: RelayWriter,
    transfer: TransferOptions,
    context: TaskContext,
}

#[derive(Clone)]
struct TaskContext {
    state: Arc<SessionState>,
    shutdown: Shutdown,
    on_half_close: Arc<OnHalfClose>,
}

impl Session {
    /// A session between two connected streams.
    ///
    /// Fails at [`Phase::Socket`] when the kernel refuses an option; both are reset then.
    pub fn new(
        client: Stream,
        target: Stream,
        options: &SessionOptions,
    ) -> Result<Session, Failure> {
        let state = shared_state(&client, &target, options).inspect_err(|_| {
            client.handle.abort();
            target.handle.abort();
        })?;
        let context = TaskContext {
            state: state.clone(),
            shutdown: options.shutdown.clone(),
            on_half_close: options.on_half_close.clone(),
        };
        let to_target =
            DirectionTask::new(Direction::ToTarget, client.reader, target.writer, &context);
        let to_client =
            DirectionTask::new(Direction::ToClient, target.reader, client.writer, &context);
        Ok(Session { state, to_target, to_client })
    }
}

fn shared_state(
    client: &Stream,
    target: &Stream,
    options: &SessionOptions,
) -> Result<Arc<SessionState>, Failure> {
    let socket = |stream: &Stream| {
        PeerSocket::new(stream).map_err(|e| Failure::local_resource(&stream.info.peer, e))
    };
    let state = SessionState::new(socket(client)?, socket(target)?, options.idle_timeout);
    Ok(Arc::new(state))
}

impl DirectionTask {
    fn new(
        direction: Direction,
        reader: Box<dyn Reader>,
        writer: Box<dyn Writer>,
        context: &TaskContext,
    ) -> DirectionTask {
        let state = &context.state;
        let transfer =
            TransferOptions { meter: state.meter(direction).clone(), ..TransferOptions::default() };
        DirectionTask {
            direction,
            reader: RelayReader::new(reader, direction, state),
            writer: RelayWriter::new(writer, direction, state),
            transfer,
            context: context.clone(),
        }
    }

    /// Relays until this direction, or the connection, has ended.
    pub fn run(mut self) {
        match copy::run(&mut self.reader, &mut self.writer, &mut self.transfer) {
            Ok(()) => self.pass_end(),
            Err(error) => self.on_error(error),
        }
    }

    fn state(&self) -> &SessionState {
        &self.context.state
    }

    /// Half-closes the destination, then watches the source.
    fn pass_end(&mut self) {
        self.state().set_ended(self.direction);
        // Before the half-close, or the answer to it would seem to come first.
        (self.context.on_half_close)(self.direction);
        match self.writer.finish() {
            Ok(()) => self.watch_source(),
            Err(e) => self.on_error(TransferError::Write(e)),
        }
    }

    /// Waits until the source is closed in both directions, or reset.
    fn watch_source(&self) {
        let source = self.state().source(self.direction);
        loop {
            let mut fds = [PollFd::from_borrowed_fd(source.fd(), PollFlags::empty())];
            if let Err(e) = self.state().poll(&mut fds) {
                return self.on_error(TransferError::Read(e));
            }
            match source.hangup(fds[0].revents()) {
                Some(Hangup::Closed) => return,
                Some(Hangup::Reset) => {
                    let reset = std::io::Error::from_raw_os_error(libc::ECONNRESET);
                    return self.on_error(TransferError::Read(reset));
                }
                None => {}
            }
        }
    }

    fn on_error(&self, error: TransferError) {
        if self.state().is_interrupted() {
            return;
        }
        let is_write_failure =
            matches!(&error, TransferError::Write(e) if StopReason::of(e).is_none());
        if is_write_failure {
            let other = self.direction.opposite();
            self.state().destination(self.direction).wake_reader();
            self.state().wait_finished(other, Some(RESET_GRACE));
        }
        let failure = self.failure(error);
        let grace = if failure.timed_out() { Duration::ZERO } else { RESET_GRACE };
        self.state().interrupt(Interruption::Failure(failure), grace);
    }

    /// The failure of the connection.
    fn failure(&self, error: TransferError) -> Failure {
        let state = self.state();
        let source = &state.source(self.direction).address;
        // Only a shutdown of the run closes the client before this session does.
        if state.client.handle.closed_locally() {
            let reason = self.context.shutdown.reason().unwrap_or(ShutdownReason::Terminate);
            return Failure::shutdown(Phase::Receive, &state.client.address, reason);
        }
        let received = state.meter(self.direction).total();
        match (StopReason::of(error.error()), error) {
            (Some(StopReason::Idle), _) => Failure::idle(Phase::Receive, source),
            (Some(_), _) => {
                let reset = std::io::Error::from_raw_os_error(libc::ECONNRESET);
                Failure::receive(source, reset, received)
            }
            (None, TransferError::Read(e)) => Failure::receive(source, e, received),
            (None, TransferError::Write(e)) => {
                let destination = &state.destination(self.direction).address;
                let answered = state.meter(self.direction.opposite()).total();
                Failure::send(destination, e, received, answered).incomplete()
            }
        }
    }
}

impl Drop for DirectionTask {
    fn drop(&mut self) {
        // A bug must not leave a connection without a reader.
        if std::thread::panicking() {
            let failure = Failure::local_resource("relay", std::io::Error::other("internal error"));
            self.state().interrupt(Interruption::Failure(failure), Duration::ZERO);
        }
        self.state().set_finished(self.direction);
    }
}
