//! `chat`: sends each line of a client, and of stdin, to all other clients and to local output.
//!
//! ```text
//!   client ──line──► room ──► a queue and a thread per client ──► the other clients
//!                     └─────► a queue and a thread ─────────────► local output
//! ```
//!
//! `Room::broadcast` queues a line for all of them. The service `broadcast` has a room too, whose members
//! receive stdin only.
//!
//! No sender waits for a receiver: a client that does not read fills its own queue and is then
//! reset; local output that blocks misses lines. But while a queue is more than half full each
//! sender pauses 1 ms per line (back-pressure), so that only clients that do not read at all
//! overflow.

pub(super) mod member;
pub(super) mod queue;
pub(super) mod room;
pub(super) mod stdin;

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::framing::{Framing, Message};
use super::message_splitter::{FramingError, InputState, MessageSplitter};
use super::{Connection, Service, ServiceOutcome};
use crate::error::Failure;
use crate::net::stdio::StdStreams;
use crate::net::stream::{EndedBy, Reader};
use member::{CLOSE_TIMEOUT, serve_member};
use queue::{Line, LineQueue};
use room::Room;

/// How long an incomplete line waits for the rest of it.
const LINE_TIMEOUT: Duration = Duration::from_millis(50);
/// How often a wait for the rest of a line checks the socket.
const LINE_CHECK_INTERVAL: Duration = Duration::from_millis(1);

/// The chat service: one room for all connections.
pub struct Chat {
    std: StdStreams,
    room: Arc<Room>,
    started: OnceLock<()>,
    local_output: Arc<LineQueue>,
    framing: Framing,
    max_message: usize,
}

impl Chat {
    /// A chat whose lines are also printed on `stdout`, and which the lines of `stdin` take part in.
    pub fn new(framing: Framing, max_message: usize, std: StdStreams) -> Chat {
        let (room, started, local_output) = Default::default();
        Chat { std, room, started, local_output, framing, max_message }
    }
}

impl Service for Chat {
    fn serve(&self, connection: &mut Connection) -> Result<ServiceOutcome, Failure> {
        serve_member(&self.room, connection, |connection, queue| {
            self.started.get_or_init(|| self.start());
            self.read_lines(connection, queue)
        })
    }

    fn close(&self) {
        if self.started.get().is_some() {
            self.local_output.close();
            self.local_output.wait_done(CLOSE_TIMEOUT);
        }
    }
}

impl Chat {
    /// Starts the threads of local output and input, at the first connection: `--user` has taken
    /// effect, and setuid(2) requires that all threads have the same privileges.
    fn start(&self) {
        let (stdout, queue) = (self.std.stdout, self.local_output.clone());
        stdin::start("chat output", move || {
            let _ = queue.deliver_all(|line| stdout.write_all(line));
        });
        let (input, room, max_message) = (self.std.stdin, self.room.clone(), self.max_message);
        stdin::start("stdin", move || stdin::send_lines(input, &room, max_message));
    }

    /// Handles the lines of a member until its end of stream.
    fn read_lines(
        &self,
        connection: &mut Connection,
        queue: &LineQueue,
    ) -> Result<EndedBy, Failure> {
        let mut splitter = MessageSplitter::new(self.framing, self.max_message);
        loop {
            let mut input = match splitter.read(connection) {
                Ok(input) => input,
                // The idle timeout passed in this direction only.
                Err(failure) if failure.timed_out() && queue.take_delivered() => continue,
                Err(failure) => return Err(failure),
            };
            let reader = connection.stream.reader.as_ref();
            if input == InputState::Idle && splitter.is_open() && has_pending_input(reader) {
                input = InputState::More;
            }
            let too_long = |error: FramingError| {
                error.failure(&connection.info().peer, "line", self.max_message)
            };
            while let Some(message) = splitter.next(input).map_err(too_long)? {
                self.handle_line(connection.conn, message, queue);
            }
            if input == InputState::Eof {
                return Ok(connection.ended_by());
            }
        }
    }

    fn handle_line(&self, conn: u64, message: Message<'_>, queue: &LineQueue) {
        let argument = message.text.strip_prefix(b"/nick");
        match argument.filter(|rest| rest.first().is_none_or(|byte| *byte == b' ')) {
            Some(name) => {
                let name = String::from_utf8_lossy(name);
                if let Err(why) = self.room.rename(conn, name.trim()) {
                    queue.push(&Line::from(format!("* {why}\n").as_bytes()));
                }
            }
            None => {
                self.room.broadcast(conn, message, &self.local_output);
                self.room.pause_if_backlogged();
            }
        }
    }
}

/// Whether the rest of a line arrives within [`LINE_TIMEOUT`]: what was sent by one call may arrive
/// in several segments.
fn has_pending_input(reader: &dyn Reader) -> bool {
    let deadline = Instant::now() + LINE_TIMEOUT;
    while !reader.is_ready() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(LINE_CHECK_INTERVAL);
    }
    true
}
