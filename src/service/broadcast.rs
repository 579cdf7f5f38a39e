//! `broadcast`: sends stdin of the server to every connected client.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use socket2::TcpKeepalive;

use super::chat::member::serve_member;
use super::chat::queue::LineQueue;
use super::chat::room::Room;
use super::chat::stdin;
use super::{Connection, Service, ServiceOutcome};
use crate::error::Failure;
use crate::net::stdio::reader_closed;
use crate::net::stream::EndedBy;

/// Keepalive probes, which detect that a client that has half-closed is gone.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(20)).with_interval(Duration::from_secs(10));
/// How often a connection whose client has half-closed is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The broadcast service. Stdin is read from the first connection on, so that no data is lost
/// before there is a client.
pub struct Broadcast {
    stdin: BorrowedFd<'static>,
    room: Arc<Room>,
    started: OnceLock<()>,
    has_ended: Arc<AtomicBool>,
}

impl Service for Broadcast {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        serve_member(&self.room, connection, |connection, queue| {
            self.started.get_or_init(|| self.start());
            // Checked after entering the room: the end of stdin closes the queues of all members.
            if self.has_ended.load(Ordering::SeqCst) {
                queue.close();
            }
            discard_input(connection, queue)
        })
    }
}

impl Broadcast {
    /// Sends `stdin`.
    pub fn new(stdin: BorrowedFd<'static>) -> Broadcast {
        let (room, started, has_ended) = Default::default();
        Broadcast { stdin, room, started, has_ended }
    }

    fn start(&self) {
        let (input, room, has_ended) = (self.stdin, self.room.clone(), self.has_ended.clone());
        stdin::start("stdin", move || {
            stdin::send_chunks(input, &room);
            has_ended.store(true, Ordering::SeqCst);
            room.close();
        });
    }
}

/// Reads and discards what the client sends. One that has half-closed still receives, until stdin
/// ends or the client is gone.
fn discard_input(connection: &mut Connection, queue: &LineQueue) -> Result<EndedBy, Failure> {
    let mut buffer = [0; 4096];
    loop {
        match connection.skip(&mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(failure) if failure.timed_out() && queue.take_delivered() => {}
            Err(failure) if failure.timed_out() => return Err(failure),
            // It has received everything, and may close without an end of stream (TLS close_notify).
            Err(_)
                if queue.wait_done(Duration::ZERO)
                    && connection.stream.handle.unacked_bytes() == 0 =>
            {
                return Ok(EndedBy::Peer);
            }
            Err(failure) => return Err(failure),
        }
    }
    let handle = connection.stream.handle.clone();
    let _ = handle.socket().set_tcp_keepalive(&KEEPALIVE);
    connection.activity.while_waiting(|| {
        let is_closed = || handle.closed_locally() || reader_closed(handle.socket().as_fd());
        while !queue.wait_done(CHECK_INTERVAL) && !is_closed() {}
    });
    Ok(connection.ended_by())
}
