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
//! A reset is sent by a close with `SO_LINGER` 0. A Unix socket cannot send one: its peer reads an end
//! of stream, or a reset if there was unread data (unix(7)).

use std::sync::Arc;
use std::time::Duration;

use super::connection_log::ConnectionLog;
use super::copy;
use super::destination::RelayDestination;
use super::peer_socket::PeerSocket;
use super::reader::RelayReader;
use super::state::SessionState;
use super::writer::RelayWriter;
use crate::error::Failure;
use crate::net::stream::Stream;
use crate::relay::direction::Direction;
use crate::relay::fault::{self, ConnectionFaults, Delivery, DirectionEnd, FaultChain};
use crate::transfer::TransferOptions;

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
    /// The connection is reset if no byte moves for this long.
    pub idle_timeout: Option<Duration>,
    /// Where half-closes, faults and endings are logged.
    pub log: ConnectionLog,
    /// The faults that are injected.
    pub faults: ConnectionFaults,
}

/// One direction; it runs on a thread of its own.
pub struct DirectionTask {
    reader: RelayReader,
    faults: Option<FaultChain>,
    destination: RelayDestination,
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
        let RelaySessionOptions { log, faults, .. } = options;
        let (taps, log) = (log.taps(), Arc::new(log));
        let task = |direction, reader, writer, tap| DirectionTask {
            reader: RelayReader::new(reader, direction, &state),
            faults: None,
            destination: RelayDestination {
                direction,
                writer: RelayWriter::new(writer, direction, &state),
                transfer: TransferOptions {
                    meter: state.meter(direction).clone(),
                    tap,
                    ..TransferOptions::default()
                },
                state: state.clone(),
                log: log.clone(),
            },
        };
        let to_target = task(Direction::ToTarget, client.reader, target.writer, taps.sent);
        let to_client = task(Direction::ToClient, target.reader, client.writer, taps.received);
        Ok(RelaySession {
            to_target: DirectionTask { faults: faults.to_target, ..to_target },
            to_client: DirectionTask { faults: faults.to_client, ..to_client },
            state,
        })
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
    /// Relays until this direction, or the connection, has ended.
    pub fn run(self) {
        let DirectionTask { mut reader, faults, mut destination } = self;
        let (writer, transfer) = (&mut destination.writer, &mut destination.transfer);
        let log = destination.log.clone();
        let ended = match faults {
            None => copy::run(&mut reader, writer, transfer).map(|()| DirectionEnd::Eof),
            Some(faults) => {
                let on_fault = &|event| log.fault(event);
                let delivery = Delivery { to: writer, transfer, on_fault };
                fault::pump(Box::new(reader), faults, delivery)
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
