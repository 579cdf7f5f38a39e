//! A connection as a member of a room: its thread reads, a second one writes what is queued for it.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::queue::LineQueue;
use super::room::{Member, Room};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stream::{EndedBy, Writer};
use crate::service::{Connection, ServiceOutcome};
use crate::transfer::{Meter, write_counted};

/// The stack of a thread that only writes: TLS needs most of it.
pub const STACK_SIZE: usize = 256 << 10;
/// How long queued lines may take to be delivered when their member or the run ends.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Membership of a connection in a room, until this is dropped.
struct Membership<'a> {
    room: &'a Room,
    conn: u64,
}

impl<'a> Membership<'a> {
    fn enter(room: &'a Room, connection: &Connection, queue: &Arc<LineQueue>) -> Membership<'a> {
        let (conn, name) = (connection.conn, default_name(connection));
        let handle = connection.stream.handle.clone();
        room.enter(conn, Member { name, queue: queue.clone(), handle });
        Membership { room, conn }
    }
}

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        self.room.leave(self.conn);
    }
}

/// The result of a writing thread.
struct Written {
    writer: Box<dyn Writer>,
    sent: Meter,
    outcome: io::Result<()>,
}

/// Makes `connection` a member of `room` while `read_input` reads what it sends. A thread writes
/// the lines of its queue, and the half-close once the queue is closed.
///
/// Fails as `read_input` does, when the thread cannot be started, or when a write fails; with
/// [`ExitCode::Limit`] when the queue overflowed.
pub fn serve_member(
    room: &Room,
    connection: &mut Connection,
    read_input: impl FnOnce(&mut Connection, &LineQueue) -> Result<EndedBy, Failure>,
) -> Result<ServiceOutcome, Failure> {
    let queue = Arc::new(LineQueue::default());
    let (peer, handle) = (connection.info().peer.clone(), connection.stream.handle.clone());
    let writing = start_writing(connection, &queue)?;
    let input = {
        let _membership = Membership::enter(room, connection, &queue);
        read_input(connection, &queue)
    };
    if input.is_err() {
        handle.abort();
    }
    queue.close();
    if !queue.wait_done(CLOSE_TIMEOUT) {
        handle.abort();
    }
    let panicked = |_| Failure::new(Phase::Send, &peer, "internal error: the writer panicked");
    let written = writing.join().map_err(panicked).map_err(|f| f.with_code(ExitCode::Negative))?;
    connection.stream.writer = written.writer;
    connection.bytes_out = written.sent.total();
    if queue.has_overflowed() {
        let why = "reset: the client reads too slowly, its queue is full";
        return Err(Failure::new(Phase::Send, &peer, why).with_code(ExitCode::Limit));
    }
    let by = input?;
    written.outcome.map_err(|e| connection.send_failed(e))?;
    connection.close_gracefully()?;
    Ok(by.into())
}

/// Starts the thread that writes what is queued.
fn start_writing(
    connection: &mut Connection,
    queue: &Arc<LineQueue>,
) -> Result<JoinHandle<Written>, Failure> {
    let writer = std::mem::replace(&mut connection.stream.writer, Box::new(std::io::sink()));
    let queue = queue.clone();
    let thread = thread::Builder::new().stack_size(STACK_SIZE);
    let started = thread.spawn(move || write_lines(writer, &queue));
    started.map_err(|e| Failure::local_resource(&connection.info().peer, e))
}

/// The name of a member that has not chosen one.
fn default_name(connection: &Connection) -> String {
    match connection.info().peer.inet() {
        Some(address) => address.to_string(),
        None => format!("client-{}", connection.conn),
    }
}

/// Writes what is queued. The idle timeout does not apply while the queue has not overflowed.
fn write_lines(mut writer: Box<dyn Writer>, queue: &LineQueue) -> Written {
    let sent = Meter::default();
    let should_retry = |e: &io::Error| match e.kind() {
        ErrorKind::Interrupted => true,
        ErrorKind::WouldBlock => !queue.has_overflowed(),
        _ => false,
    };
    let outcome = queue.deliver_all(|line| {
        write_counted(line, writer.as_mut(), &sent, should_retry)?;
        writer.flush()
    });
    if outcome.is_ok() && !queue.has_overflowed() {
        // A failure shows again when the connection is closed.
        let _ = writer.half_close();
    }
    Written { writer, sent, outcome }
}
