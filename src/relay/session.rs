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

use super::connection_log::ConnectionLog;
use super::copy;
use super::destination::RelayDestination;
use super::direction::Direction;
use super::fault::{self, ConnectionFaults, DirectionEnd, FaultPumpOptions, StreamFaults};
use super::halves::{RelayReader, RelayWriter};
use super::peer_socket::PeerSocket;
use super::state::SessionState;
use crate::error::Failure;
use crate::net::stream::{Reader, Stream, Writer};
use crate::shutdown::Shutdown;
use crate::transfer::TransferOptions;
use crate::transfer::tap::{Tap, TapSink, Taps};

/// The two directions of a session, not started yet.
pub struct RelaySession {
    /// What both share.
    pub state: Arc<SessionState>,
    /// From the client to the target.
    pub to_target: DirectionTask,
    /// From the target to the client.
    pub to_client: DirectionTask,
}

/// What applies to a session.
pub struct RelaySessionOptions {
    /// The connection is interrupted if no byte moves for this long.
    pub idle_timeout: Option<Duration>,
    /// The end of the run.
    pub shutdown: Shutdown,
    /// Where half-closes, faults and endings are logged.
    pub log: ConnectionLog,
    /// What is put on the connection on purpose.
    pub faults: ConnectionFaults,
    /// What observes the bytes: sent ones go to the target.
    pub observers: Vec<Box<dyn TapSink>>,
}

/// One direction; it runs on a thread of its own.
pub struct DirectionTask {
    reader: RelayReader,
    faults: Option<StreamFaults>,
    destination: RelayDestination,
}

/// What a direction of its own is made of.
struct DirectionParts {
    direction: Direction,
    reader: Box<dyn Reader>,
    writer: Box<dyn Writer>,
    faults: Option<StreamFaults>,
    tap: Option<Tap>,
}

impl RelaySession {
    /// A session between two connected streams.
    ///
    /// Fails at [`Phase::Socket`](crate::error::Phase::Socket) when the kernel refuses an option; both
    /// are reset then.
    pub fn new(
        client: Stream,
        target: Stream,
        options: RelaySessionOptions,
    ) -> Result<RelaySession, Failure> {
        let state = shared_state(&client, &target, &options).inspect_err(|_| {
            client.handle.abort();
            target.handle.abort();
        })?;
        let RelaySessionOptions { shutdown, log, faults, observers, .. } = options;
        let taps = if observers.is_empty() { Taps::default() } else { Taps::new(observers) };
        let log = Arc::new(log);
        let task = |parts| DirectionTask::new(parts, &state, &shutdown, &log);
        let to_target = task(DirectionParts {
            direction: Direction::ToTarget,
            reader: client.reader,
            writer: target.writer,
            faults: faults.to_target,
            tap: taps.sent,
        });
        let to_client = task(DirectionParts {
            direction: Direction::ToClient,
            reader: target.reader,
            writer: client.writer,
            faults: faults.to_client,
            tap: taps.received,
        });
        Ok(RelaySession { state, to_target, to_client })
    }
}

fn shared_state(
    client: &Stream,
    target: &Stream,
    options: &RelaySessionOptions,
) -> Result<Arc<SessionState>, Failure> {
    let socket = |stream: &Stream| {
        PeerSocket::new(stream).map_err(|e| Failure::local_resource(&stream.info.peer, e))
    };
    let state = SessionState::new(socket(client)?, socket(target)?, options.idle_timeout);
    Ok(Arc::new(state))
}

impl DirectionTask {
    fn new(
        parts: DirectionParts,
        state: &Arc<SessionState>,
        shutdown: &Shutdown,
        log: &Arc<ConnectionLog>,
    ) -> DirectionTask {
        let DirectionParts { direction, reader, writer, faults, tap } = parts;
        let meter = state.meter(direction).clone();
        let destination = RelayDestination {
            direction,
            writer: RelayWriter::new(writer, direction, state),
            transfer: TransferOptions { meter, tap, ..TransferOptions::default() },
            state: state.clone(),
            shutdown: shutdown.clone(),
            log: log.clone(),
        };
        DirectionTask { reader: RelayReader::new(reader, direction, state), faults, destination }
    }

    /// Relays until this direction, or the connection, has ended.
    pub fn run(self) {
        let DirectionTask { mut reader, faults, mut destination } = self;
        let (writer, transfer) = (&mut destination.writer, &mut destination.transfer);
        let log = destination.log.clone();
        let ended = match faults {
            None => copy::run(&mut reader, writer, transfer).map(|()| DirectionEnd::Eof),
            Some(faults) => {
                let on_fault = |event| log.fault(event);
                let options = FaultPumpOptions { transfer, faults, on_fault: &on_fault };
                fault::pump(Box::new(reader), writer, options)
            }
        };
        match ended {
            Ok(end) => destination.end(end),
            Err(error) => destination.fail(error),
        }
    }
}

#[cfg(test)]
mod tests;
