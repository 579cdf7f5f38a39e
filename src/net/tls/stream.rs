//! The two halves of a TLS stream, for two threads at once.
//!
//! ```text
//!   reader: recv ──► intake ──┐ lock ┌── plain text out
//!                             ▼      │
//!                        TLS state (one lock, never held while waiting)
//!                             ▲      │
//!   writer: plain text in ────┘ lock └──► send without waiting; full: unlock, poll, again
//! ```
//!
//! Records leave in the order in which the state made them, because they are only ever taken from
//! it and given to the kernel under the one lock, and the kernel is only offered what it takes at
//! once. So a reader that waits never blocks the writer, nor the other way round, and an alert or
//! a key update that the reader provokes queues behind what the writer has begun.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustls::{Connection, Error};
use socket2::Socket;

use super::{OnTruncation, describe, words};
use crate::error::{ExitCode, LayerError, Phase};
use crate::net::memory;
use crate::net::stream::{ConnectionHandle, Reader, Stream, Writer};
use crate::shutdown::poll_until;

/// Plain text that is encrypted and sent in one go: six records. The allocator gives back what
/// lies free at the top of its heap from 128 KiB on (mallopt(3), `M_TRIM_THRESHOLD`), and larger
/// pieces have it do so after each of them, which costs a fifth of all time.
const WRITE_CHUNK: usize = 96 << 10;
/// Plain text that is handed out in one go: it is still in the cache when it is written again.
const READ_CHUNK: usize = 64 << 10;
/// What a reader asks of the kernel, growing for peers who fill it.
const STEPS: [usize; 3] = [8 << 10, 64 << 10, 256 << 10];

/// Cipher text on its way in: from the kernel, not yet understood.
pub(super) struct RecordBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    is_new: bool,
    record: Record,
}

impl RecordBuffer {
    pub(super) fn new() -> RecordBuffer {
        RecordBuffer {
            bytes: vec![0; STEPS[0]],
            start: 0,
            end: 0,
            is_new: true,
            record: Record::default(),
        }
    }

    /// Whether nothing has ever come.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// What has come and is not yet understood.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Where the next read goes. Only asked for when nothing is waiting.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.start = 0;
        self.end = 0;
        &mut self.bytes
    }

    /// After a read of `n` bytes; the next space is larger if this one was filled.
    pub(super) fn filled(&mut self, n: usize) {
        self.is_new = false;
        self.end = n;
    }

    /// As [`RecordBuffer::space`], larger if the last read filled it.
    fn next_space(&mut self) -> &mut [u8] {
        let full = self.end == self.bytes.len();
        let next = STEPS.into_iter().find(|step| *step > self.bytes.len());
        if let Some(next) = next.filter(|_| full) {
            self.bytes = memory::room(next, self.bytes.len());
        }
        self.space()
    }

    /// Gives the state one bite of what is waiting.
    fn feed(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let mut rest = &self.bytes[self.start..self.end];
        let taken = connection.read_tls(&mut rest).map_err(|e| Error::General(e.to_string()))?;
        self.record.advance(&self.bytes[self.start..self.start + taken]);
        self.start += taken;
        connection.process_new_packets().map(drop)
    }

    /// Feeds until nothing waits or the handshake is done: what follows is the user's.
    pub(super) fn feed_handshake(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let handshaking = connection.is_handshaking();
        while self.start < self.end && connection.is_handshaking() == handshaking {
            if !handshaking && !connection.wants_read() {
                break;
            }
            self.feed(connection)?;
        }
        Ok(())
    }
}

/// The position within a record: a header of five bytes, whose last two say how many follow
/// (RFC 8446 §5.1).
#[derive(Debug, Default)]
struct Record {
    /// Bytes of the header that came.
    header: u8,
    /// The last two of them.
    length: u16,
    /// Bytes that are still to come behind a whole header.
    left: usize,
}

impl Record {
    fn advance(&mut self, mut bytes: &[u8]) {
        while let Some((byte, rest)) = bytes.split_first() {
            if self.left > 0 {
                let n = self.left.min(bytes.len());
                self.left -= n;
                bytes = &bytes[n..];
                continue;
            }
            bytes = rest;
            self.header += 1;
            self.length = self.length << 8 | u16::from(*byte);
            if self.header == 5 {
                self.header = 0;
                self.left = self.length.into();
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.header == 0 && self.left == 0
    }
}

/// Offers the kernel what the state has to send; whether all of it was taken.
pub(super) fn send_some(connection: &mut Connection, socket: &Socket) -> io::Result<bool> {
    while connection.wants_write() {
        match connection.write_tls(&mut NonBlockingWriter(socket)) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

/// Writes to a socket without ever waiting for room in it (send(2), `MSG_DONTWAIT`).
struct NonBlockingWriter<'a>(&'a Socket);

const EAGERLY: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

impl Write for NonBlockingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send_with_flags(bytes, EAGERLY)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.send_vectored_with_flags(pieces, EAGERLY)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Shared {
    connection: Mutex<Connection>,
    hangup: ConnectionHandle,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends everything the state has to say, letting go of it while the kernel is full.
    fn send_all<'a>(&'a self, mut connection: MutexGuard<'a, Connection>) -> io::Result<()> {
        while !send_some(&mut connection, self.hangup.socket())? {
            drop(connection);
            self.wait_writable()?;
            connection = self.lock();
        }
        Ok(())
    }

    /// Waits for room in the kernel, at most as long as a plain socket's write would.
    fn wait_writable(&self) -> io::Result<()> {
        let socket = self.hangup.socket();
        let limit = socket.write_timeout()?;
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT)];
        match poll_until(&mut fds, until)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }
}

/// The half that decrypts.
struct TlsReader {
    shared: Arc<Shared>,
    under: Box<dyn Reader>,
    intake: RecordBuffer,
    on_truncation: OnTruncation,
    /// What went wrong behind the last plain text, kept for the next read.
    pending_error: Option<io::Error>,
}

/// How far one look at the state has come.
enum Progress {
    /// So many bytes of plain text.
    Plaintext(usize),
    /// The peer has said goodbye.
    Closed,
    /// More cipher text is needed.
    NeedMore,
}

impl TlsReader {
    fn poll_record(&mut self, plain: &mut [u8]) -> io::Result<Progress> {
        let shared = self.shared.clone();
        let mut connection = shared.lock();
        let mut filled = 0;
        loop {
            match connection.reader().read(&mut plain[filled..]) {
                Ok(0) if filled == 0 => return Ok(Progress::Closed),
                Ok(0) => return Ok(Progress::Plaintext(filled)),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
            if filled == plain.len() || self.intake.waiting().is_empty() {
                break;
            }
            if let Err(error) = self.intake.feed(&mut connection) {
                // The alert that says so leaves if the kernel has room for it.
                let _ = send_some(&mut connection, shared.hangup.socket());
                // What came before the trouble is the user's.
                self.pending_error = Some(broken(&error));
                break;
            }
            if connection.wants_write() {
                // Whether the peer still listens is the writer's business: what came is read all
                // the same.
                let _ = send_some(&mut connection, shared.hangup.socket());
            }
        }
        match self.pending_error.take() {
            Some(trouble) if filled == 0 => Err(trouble),
            trouble => {
                self.pending_error = trouble;
                Ok(if filled > 0 { Progress::Plaintext(filled) } else { Progress::NeedMore })
            }
        }
    }
}

impl Read for TlsReader {
    fn read(&mut self, plain: &mut [u8]) -> io::Result<usize> {
        let most = plain.len().min(READ_CHUNK);
        let plain = &mut plain[..most];
        if plain.is_empty() {
            return Ok(0);
        }
        loop {
            match self.poll_record(plain)? {
                Progress::Plaintext(n) => return Ok(n),
                Progress::Closed => return Ok(0),
                Progress::NeedMore => {}
            }
            let n = self.under.read(self.intake.next_space())?;
            if n == 0 {
                return self.check_end().map(|()| 0);
            }
            self.intake.filled(n);
        }
    }
}

impl TlsReader {
    /// The stream has ended without close_notify: by us, truncated, or, inside a record, broken.
    fn check_end(&self) -> io::Result<()> {
        let hangup = &self.shared.hangup;
        if hangup.closed_locally() {
            return Ok(());
        }
        if !self.intake.record.is_whole() {
            let why = "the peer ended inside a TLS record, without close_notify".to_string();
            let inner =
                LayerError { stage: Phase::Receive, code: ExitCode::Partial, why, hint: None };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, inner));
        }
        if self.on_truncation == OnTruncation::Fail {
            hangup.note_truncation();
        }
        Ok(())
    }
}

impl Reader for TlsReader {
    fn is_ready(&self) -> bool {
        let understood = || {
            let state = self.shared.lock().process_new_packets();
            state.is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
        };
        !self.intake.waiting().is_empty() || understood() || self.under.is_ready()
    }
}

fn broken(error: &Error) -> io::Error {
    let why = match error {
        Error::AlertReceived(alert) => describe::alert_message(*alert),
        other => words::of(other),
    };
    let inner = LayerError { stage: Phase::Tls, code: ExitCode::Tls, why, hint: None };
    io::Error::new(io::ErrorKind::InvalidData, inner)
}

/// The half that encrypts.
struct TlsWriter {
    shared: Arc<Shared>,
    under: Box<dyn Writer>,
}

impl Write for TlsWriter {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        let piece = &plain[..plain.len().min(WRITE_CHUNK)];
        let mut connection = self.shared.lock();
        let taken = connection.writer().write(piece)?;
        self.shared.send_all(connection)?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        let connection = self.shared.lock();
        match connection.wants_write() {
            true => self.shared.send_all(connection),
            false => Ok(()),
        }
    }
}

impl Writer for TlsWriter {
    /// `close_notify` (RFC 8446 §6.1), then the half-close of what is under us.
    fn finish(&mut self) -> io::Result<()> {
        let mut connection = self.shared.lock();
        connection.send_close_notify();
        match self.shared.send_all(connection) {
            // The peer has said goodbye and left: nobody is there to hear ours.
            Err(e) if matches!(e.kind(), io::ErrorKind::BrokenPipe) => Ok(()),
            Err(e) => Err(e),
            Ok(()) => self.under.finish(),
        }
    }
}

/// The stream behind a completed handshake; `intake` holds what came behind the peer's part of it.
pub(super) fn split(
    stream: Stream,
    mut connection: Connection,
    intake: RecordBuffer,
    on_truncation: OnTruncation,
) -> Stream {
    // What a write takes is sent before it returns, so there is no more than one piece in here.
    connection.set_buffer_limit(None);
    let connection = Mutex::new(connection);
    let shared = Arc::new(Shared { connection, hangup: stream.hangup.clone() });
    Stream {
        reader: Box::new(TlsReader {
            shared: shared.clone(),
            under: stream.reader,
            intake,
            on_truncation,
            pending_error: None,
        }),
        writer: Box::new(TlsWriter { shared, under: stream.writer }),
        hangup: stream.hangup,
        facts: stream.facts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_is_whole_only_behind_its_last_byte() {
        let two = b"\x17\x03\x03\x00\x02ab\x17\x03\x03\x01\x01".to_vec();
        let two = [two, vec![b'x'; 257]].concat();
        let whole = [0, 7, two.len()];
        for cut in 0..=two.len() {
            let mut record = Record::default();
            record.advance(&two[..cut / 2]);
            record.advance(&two[cut / 2..cut]);
            assert_eq!(record.is_whole(), whole.contains(&cut), "{cut}");
        }
    }
}
