//! Our own stdin as something that speaks to all members.

use std::io::{self, BufRead, BufReader, Read};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::room::Room;
use super::{BACKPRESSURE_PAUSE, STACK};
use crate::net::stdio::FdStream;
use crate::service::framing::Message;
use crate::shutdown::poll_until;

/// Bytes that go to every client in one piece.
const PIECE: usize = 64 << 10;
/// The longest pause between two pieces while a client has little room left for them.
const MAX_PAUSE: Duration = Duration::from_millis(100);
/// How often a process in the background of its terminal looks whether it is in the foreground.
const LOOK: Duration = Duration::from_millis(200);

/// Starts a thread that runs `read`; without one nothing of our stdin is sent.
pub fn start(read: impl FnOnce() + Send + 'static) {
    let spawned = thread::Builder::new().name("stdin".into()).stack_size(STACK).spawn(read);
    if let Err(e) = spawned {
        tracing::warn!("no thread to read stdin: {e}");
    }
}

/// Says each line of stdin; one of more than `max_message` bytes is said in parts.
pub fn say_lines(room: &Room, max_message: usize) {
    let mut input = BufReader::new(Input);
    let mut line = Vec::new();
    let limit = max_message.saturating_add(2) as u64;
    while let Ok(1..) = input.by_ref().take(limit).read_until(b'\n', &mut line) {
        if room.announce(Message::of(&line).text) {
            thread::sleep(BACKPRESSURE_PAUSE);
        }
        line.clear();
    }
}

/// Sends stdin to every client as it comes. A client that reads slowly delays the others by
/// [`MAX_PAUSE`] per piece, until its queue is full.
pub fn send_pieces(room: &Room) {
    let mut piece = vec![0; PIECE];
    while let Ok(n @ 1..) = Input.read(&mut piece) {
        room.send(&piece[..n]);
        let until = Instant::now() + MAX_PAUSE;
        while room.is_crowded() && Instant::now() < until {
            thread::sleep(BACKPRESSURE_PAUSE);
        }
    }
}

/// Our stdin, read only while that does not stop this process: a read in the background of a
/// terminal does (termios(3), `SIGTTIN`).
struct Input;

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stdin = rustix::stdio::stdin();
        poll_until(&mut [PollFd::from_borrowed_fd(stdin, PollFlags::IN)], None)?;
        while rustix::termios::tcgetpgrp(stdin).is_ok_and(|g| g != rustix::process::getpgrp()) {
            thread::sleep(LOOK);
        }
        FdStream(rustix::stdio::stdin()).read(buffer)
    }
}
