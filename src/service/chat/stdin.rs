//! Sends stdin of the server to the members of a room.

use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::member::STACK_SIZE;
use super::room::Room;
use crate::net::stdio::FdStream;
use crate::poll::poll_until;
use crate::service::framing::Message;

/// Bytes that are sent to every client together.
const CHUNK_SIZE: usize = 64 << 10;
/// The longest pause between two chunks while the queue of a client is more than half full.
const MAX_PAUSE: Duration = Duration::from_millis(100);
/// How often a background process checks whether it is in the foreground of its terminal.
const FOREGROUND_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Starts a thread of the server's stdin or stdout. Without a thread, which is logged, nothing is sent
/// or printed.
pub fn start(name: &str, run: impl FnOnce() + Send + 'static) {
    let spawned = thread::Builder::new().name(name.into()).stack_size(STACK_SIZE).spawn(run);
    if let Err(e) = spawned {
        tracing::warn!("cannot start the thread {name}: {e}");
    }
}

/// Sends each line of stdin with the name of the server; one of more than `max_message` bytes is
/// split.
pub fn send_lines(stdin: BorrowedFd<'_>, room: &Room, max_message: usize) {
    let mut input = BufReader::new(Input(stdin));
    let mut line = Vec::new();
    let limit = max_message.saturating_add(2) as u64;
    while let Ok(1..) = input.by_ref().take(limit).read_until(b'\n', &mut line) {
        room.announce(Message::of(&line).text);
        room.pause_if_backlogged();
        line.clear();
    }
}

/// Sends stdin to every client unchanged. A client that reads slowly delays the others by
/// [`MAX_PAUSE`] per chunk, until its queue is full.
pub fn send_chunks(stdin: BorrowedFd<'_>, room: &Room) {
    let mut input = Input(stdin);
    let mut chunk = vec![0; CHUNK_SIZE];
    while let Ok(n @ 1..) = input.read(&mut chunk) {
        room.send(&chunk[..n]);
        let deadline = Instant::now() + MAX_PAUSE;
        while room.is_backlogged() && Instant::now() < deadline {
            room.pause_if_backlogged();
        }
    }
}

/// Stdin, read only in the foreground of its terminal: a read in the background would stop the
/// process (termios(3), `SIGTTIN`).
struct Input<'a>(BorrowedFd<'a>);

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stdin = self.0;
        poll_until(&mut [PollFd::from_borrowed_fd(stdin, PollFlags::IN)], None)?;
        while rustix::termios::tcgetpgrp(stdin).is_ok_and(|g| g != rustix::process::getpgrp()) {
            thread::sleep(FOREGROUND_CHECK_INTERVAL);
        }
        FdStream(stdin).read(buffer)
    }
}
