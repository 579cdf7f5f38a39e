//! `chat`: each line to all the others, and to our terminal; our own stdin speaks to all.
//!
//! ```text
//!   member ──line──► room ──► a queue and a thread per member ──► the others
//!                     └─────► a queue and a thread ─────────────► our terminal
//! ```
//!
//! Who says something waits for nobody: a member that does not read fills its own queue and then
//! loses its place; a terminal that stands still misses lines. But who talks faster than the others
//! can hear takes a breath with each line, so that only those who do not read at all fall behind.

pub mod broadcast;
mod input;
mod queue;
mod room;

use std::io::{self, ErrorKind};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::framing::{Framing, InputState, Message, MessageSplitter};
use super::{Connection, Service, ServiceOutcome};
use crate::error::{ExitCode, Failure, Phase};
use crate::net::stdio::NullStream;
use crate::net::stream::{EndedBy, Reader, Writer};
use crate::process::privileges::drop_capabilities;
use queue::{Line, Queue};
use room::Room;

/// The stack of a thread that only writes: TLS under it needs most of it.
const STACK: usize = 256 << 10;
/// A pause between two lines while somebody has little room left for them: it keeps one who talks
/// without end from costing the others their places, and one who never reads costs half a second
/// of it.
const BACKPRESSURE_PAUSE: Duration = Duration::from_millis(1);
/// How long a line without an end is held for the rest of it.
const REST: Duration = Duration::from_millis(50);
/// How long lines that are still queued may take when their listener or the run ends.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// A room for all guests.
pub struct Chat {
    room: Arc<Room>,
    begun: OnceLock<()>,
    local_output: Arc<Queue>,
    framing: Framing,
    max_message: usize,
}

/// One member in its room, until this is dropped.
struct Membership<'a> {
    room: &'a Room,
    conn: u64,
}

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        self.room.leave(self.conn);
    }
}

impl Chat {
    /// A room whose lines also go to `screen`, one after the other.
    ///
    /// Fails when no thread can be had.
    pub fn new(
        framing: Framing,
        max_message: usize,
        mut screen: impl FnMut(&[u8]) -> Result<(), Failure> + Send + 'static,
    ) -> Result<Chat, Failure> {
        let lines = Arc::new(Queue::default());
        let ours = lines.clone();
        thread::Builder::new()
            .name("screen".into())
            .stack_size(STACK)
            .spawn(move || {
                // It was started before `--user`, and only writes.
                let _ = drop_capabilities();
                ours.run(|line| screen(line))
            })
            .map_err(|e| Failure::new(Phase::Stdout, "-", e).with_code(ExitCode::Negative))?;
        let (room, begun) = (Arc::default(), OnceLock::new());
        Ok(Chat { room, begun, local_output: lines, framing, max_message })
    }
}

impl Service for Chat {
    fn serve(&self, guest: &mut Connection) -> Result<ServiceOutcome, Failure> {
        attend(&self.room, guest, |guest, queue| {
            self.begun.get_or_init(|| self.read_stdin());
            self.listen(guest, queue)
        })
    }

    fn close(&self) {
        self.local_output.close(LAST_WAIT);
    }
}

/// Makes `guest` a member of `room` while `listen` reads what it sends; a thread of its own writes
/// what its queue holds, and the half-close when the queue is closed.
fn attend(
    room: &Room,
    guest: &mut Connection,
    listen: impl FnOnce(&mut Connection, &Queue) -> Result<EndedBy, Failure>,
) -> Result<ServiceOutcome, Failure> {
    let queue = Arc::new(Queue::default());
    let peer = guest.facts().peer.clone();
    let writer = std::mem::replace(&mut guest.stream.writer, Box::new(NullStream));
    let outlet = queue.clone();
    let writing = thread::Builder::new().stack_size(STACK).spawn(move || write(writer, &outlet));
    let writing = writing.map_err(|e| Failure::local_resource(&peer, e))?;

    let name = match peer.inet() {
        Some(address) => address.to_string(),
        None => format!("guest-{}", guest.conn),
    };
    room.enter(guest.conn, name, queue.clone(), guest.stream.hangup.clone());
    let seat = Membership { room, conn: guest.conn };
    let heard = listen(guest, &queue);
    drop(seat);

    if heard.is_err() || !queue.close(LAST_WAIT) {
        guest.stream.hangup.abort();
        queue.close(Duration::ZERO);
    }
    let written = writing.join().map_err(|_| {
        Failure::new(Phase::Send, &peer, "the writer broke down").with_code(ExitCode::Negative)
    })?;
    guest.stream.writer = written.writer;
    guest.bytes_out = written.bytes;
    if queue.is_overrun() {
        let why = "did not read what was sent to it, and lost its place";
        return Err(Failure::new(Phase::Send, &peer, why).with_code(ExitCode::Limit));
    }
    let by = heard?;
    written.outcome.map_err(|e| guest.send_failed(e))?;
    guest.close_gracefully()?;
    Ok(by.into())
}

/// What the thread that wrote to a member returns.
struct Written {
    writer: Box<dyn Writer>,
    bytes: u64,
    outcome: io::Result<()>,
}

fn write(mut writer: Box<dyn Writer>, queue: &Queue) -> Written {
    let mut bytes = 0;
    let outcome = queue.run(|line| {
        write_all(writer.as_mut(), line, queue)?;
        bytes += line.len() as u64;
        Ok(())
    });
    if outcome.is_ok() && !queue.is_overrun() {
        // Whether this fails shows when the connection is closed.
        let _ = writer.finish();
    }
    Written { writer, bytes, outcome }
}

impl Chat {
    fn read_stdin(&self) {
        let (room, max_message) = (self.room.clone(), self.max_message);
        input::start(move || input::say_lines(&room, max_message));
    }

    /// Passes on what the member says, to the end.
    fn listen(&self, guest: &mut Connection, queue: &Queue) -> Result<EndedBy, Failure> {
        let mut cutter = MessageSplitter::new(self.framing, self.max_message);
        loop {
            let n = match guest.read(cutter.space()) {
                Ok(n) => n,
                // It said nothing for the idle limit, but it was talked to.
                Err(late) if late.timed_out() && queue.has_moved() => continue,
                Err(failure) => return Err(failure),
            };
            let full = cutter.filled(n);
            let flow = match n {
                0 => InputState::Eof,
                _ if full && guest.stream.reader.is_ready() => InputState::More,
                _ if cutter.is_open() && has_pending_input(guest.stream.reader.as_ref()) => {
                    InputState::More
                }
                _ => InputState::Idle,
            };
            loop {
                match cutter.next(flow) {
                    Ok(Some(message)) => self.handle_line(guest.conn, message, queue),
                    Ok(None) => break,
                    Err(_) => return Err(self.too_long(guest)),
                }
            }
            if flow == InputState::Eof {
                return Ok(guest.ended_by());
            }
        }
    }

    fn handle_line(&self, conn: u64, message: Message<'_>, queue: &Queue) {
        match message.text.strip_prefix(b"/nick") {
            Some(rest) if rest.first().is_none_or(|byte| *byte == b' ') => {
                let name = String::from_utf8_lossy(rest);
                if let Err(why) = self.room.rename(conn, name.trim()) {
                    queue.push(&Line::from(format!("* {why}\n").as_bytes()));
                }
            }
            _ => {
                let Message { text, line_end, .. } = message;
                if self.room.broadcast(conn, text, line_end, &self.local_output) {
                    thread::sleep(BACKPRESSURE_PAUSE);
                }
            }
        }
    }

    fn too_long(&self, guest: &Connection) -> Failure {
        let why = format!("a line of more than {} bytes", self.max_message);
        Failure::new(Phase::Receive, &guest.facts().peer, why).with_code(ExitCode::Limit)
    }
}

/// Whether the rest of a line is on its way: what was sent in one piece may arrive in several.
fn has_pending_input(reader: &dyn Reader) -> bool {
    let until = Instant::now() + REST;
    while !reader.is_ready() {
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(BACKPRESSURE_PAUSE);
    }
    true
}

/// As `write_all`; the idle limit does not count while the member still has room in its queue.
fn write_all(writer: &mut dyn Writer, mut bytes: &[u8], queue: &Queue) -> io::Result<()> {
    while !bytes.is_empty() {
        match writer.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock && !queue.is_overrun() => {}
            Err(e) => return Err(e),
        }
    }
    writer.flush()
}
