//! `chat`: each line to all the others, and to our terminal.
//!
//! ```text
//!   member ──line──► room ──► a queue and a thread per member ──► the others
//!                     └─────► a queue and a thread ─────────────► our terminal
//! ```
//!
//! Who says something waits for nobody: a member that does not read fills its own queue and then
//! loses its place; a terminal that stands still misses lines. But who talks faster than the others
//! can hear takes a breath with each line, so that only those who do not read at all fall behind.

mod queue;
mod room;

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::framing::{Cutter, Flow, Framing, Message, TooLong};
use super::{Ended, Guest, Service};
use crate::failure::{Code, Failure, Stage};
use crate::net::stdio::Nothing;
use crate::net::stream::{Ending, Reader, Writer};
use queue::{Line, Queue};
use room::Room;

/// The stack of a thread that only writes: TLS under it needs most of it.
const STACK: usize = 256 << 10;
/// A pause between two lines while somebody has little room left for them: it keeps one who talks
/// without end from costing the others their places, and one who never reads costs half a second
/// of it.
const BREATH: Duration = Duration::from_millis(1);
/// How long a line without an end is held for the rest of it.
const REST: Duration = Duration::from_millis(50);
/// How long lines that are still queued may take when their listener or the run ends.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// A room for all guests.
pub struct Chat {
    room: Room,
    screen: Arc<Queue>,
    framing: Framing,
    max_message: usize,
}

/// One member in its room.
struct Seat<'a> {
    chat: &'a Chat,
    conn: u64,
    queue: Arc<Queue>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.chat.room.leave(self.conn);
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
            .spawn(move || ours.run(|line| screen(line)))
            .map_err(|e| Failure::new(Stage::Stdout, "-", e).with_code(Code::Negative))?;
        Ok(Chat { room: Room::default(), screen: lines, framing, max_message })
    }
}

impl Service for Chat {
    fn serve(&self, guest: &mut Guest) -> Result<Ended, Failure> {
        let queue = Arc::new(Queue::default());
        let mut writer = std::mem::replace(&mut guest.stream.writer, Box::new(Nothing));
        let outlet = queue.clone();
        let writing = thread::Builder::new().stack_size(STACK).spawn(move || {
            let mut sent = 0;
            let done = outlet.run(|line| {
                write_all(writer.as_mut(), line, &outlet)?;
                sent += line.len() as u64;
                Ok::<(), io::Error>(())
            });
            (writer, sent, done)
        });
        let peer = guest.facts().peer.clone();
        let writing =
            writing.map_err(|e| Failure::new(Stage::Socket, &peer, e).with_code(Code::Negative))?;

        let name = match peer.inet() {
            Some(address) => address.to_string(),
            None => format!("guest-{}", guest.conn),
        };
        self.room.enter(guest.conn, name, queue.clone(), guest.stream.hangup.clone());
        let seat = Seat { chat: self, conn: guest.conn, queue };
        let heard = seat.listen(guest);
        let queue = seat.queue.clone();
        drop(seat);

        if heard.is_err() || !queue.close(LAST_WAIT) {
            guest.stream.hangup.reset();
            queue.close(Duration::ZERO);
        }
        let (writer, sent, done) = writing.join().map_err(|_| {
            Failure::new(Stage::Send, &peer, "the writer broke down").with_code(Code::Negative)
        })?;
        guest.stream.writer = writer;
        guest.bytes_out = sent;
        if queue.is_overrun() {
            let why = "did not read what the others said, and lost its place";
            return Err(Failure::new(Stage::Send, &peer, why).with_code(Code::Limit));
        }
        let by = heard?;
        done.map_err(|e| guest.send_failed(e))?;
        guest.take_leave()?;
        Ok(by.into())
    }

    fn close(&self) {
        self.screen.close(LAST_WAIT);
    }
}

impl Seat<'_> {
    /// Passes on what the member says, to the end.
    fn listen(&self, guest: &mut Guest) -> Result<Ending, Failure> {
        let mut cutter = Cutter::new(self.chat.framing, self.chat.max_message);
        loop {
            let n = match guest.receive(cutter.space()) {
                Ok(n) => n,
                // It said nothing for the idle limit, but it was talked to.
                Err(late) if late.timed_out() && self.queue.has_moved() => continue,
                Err(failure) => return Err(failure),
            };
            let full = cutter.filled(n);
            let flow = match n {
                0 => Flow::Ended,
                _ if full && guest.stream.reader.is_ready() => Flow::More,
                _ if cutter.is_open() && more_comes(guest.stream.reader.as_ref()) => Flow::More,
                _ => Flow::Lull,
            };
            loop {
                match cutter.next(flow) {
                    Ok(Some(message)) => self.hear(message),
                    Ok(None) => break,
                    Err(TooLong) => return Err(self.chat.too_long(guest)),
                }
            }
            if flow == Flow::Ended {
                return Ok(guest.ended_by());
            }
        }
    }

    fn hear(&self, message: Message<'_>) {
        match message.text.strip_prefix(b"/nick") {
            Some(rest) if rest.first().is_none_or(|byte| *byte == b' ') => {
                let name = String::from_utf8_lossy(rest);
                if let Err(why) = self.chat.room.rename(self.conn, name.trim()) {
                    self.queue.push(&Line::from(format!("* {why}\n").as_bytes()));
                }
            }
            _ => {
                let Message { text, line_end, .. } = message;
                if self.chat.room.say(self.conn, text, line_end, &self.chat.screen) {
                    thread::sleep(BREATH);
                }
            }
        }
    }
}

impl Chat {
    fn too_long(&self, guest: &Guest) -> Failure {
        let why = format!("a line of more than {} bytes", self.max_message);
        Failure::new(Stage::Receive, &guest.facts().peer, why).with_code(Code::Limit)
    }
}

/// Whether the rest of a line is on its way: what was sent in one piece may arrive in several.
fn more_comes(reader: &dyn Reader) -> bool {
    let until = Instant::now() + REST;
    while !reader.is_ready() {
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(BREATH);
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
