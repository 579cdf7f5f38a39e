//! The two halves of a TLS stream, for two threads.
//!
//! ```text
//!   reader: recv ──► records ─┐ lock ┌── plain text out
//!                             ▼      │
//!                        TLS state (one lock, never held while waiting)
//!                             ▲      │
//!   writer: plain text in ────┘ lock └──► send without blocking; full: unlock, poll, retry
//! ```
//!
//! Records are sent in the order in which the state produced them, because they are taken from it
//! and given to the kernel under one lock, without blocking. So a waiting reader never blocks the
//! writer, nor the reverse, and an alert or a key update from the reader queues behind what the
//! writer has begun.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustls::{Connection, Error};
use socket2::Socket;

use super::{OnTruncation, describe, error_text};
use crate::error::{ExitCode, LayerError, Phase};
use crate::net::memory;
use crate::net::stream::{ConnectionHandle, ConnectionInfo, Reader, Stream, Writer};
use crate::shutdown::poll_until;

/// Plain text that is encrypted and sent in one step: six records. The allocator returns 128 KiB and
/// more of free memory at the top of its heap to the kernel (mallopt(3), `M_TRIM_THRESHOLD`); larger
/// chunks make it do so after each of them, which costs a fifth of all time.
const WRITE_CHUNK: usize = 96 << 10;
/// Plain text that is returned by one read: it is still in the cache when it is written.
const READ_CHUNK: usize = 64 << 10;
/// Sizes of a read from the kernel, growing with peers that fill it.
const READ_SIZES: [usize; 3] = [8 << 10, 64 << 10, 256 << 10];

/// Received records that are not decrypted yet.
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
            bytes: vec![0; READ_SIZES[0]],
            start: 0,
            end: 0,
            is_new: true,
            record: Record::default(),
        }
    }

    /// Whether nothing was ever received.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// The bytes that are not decrypted yet.
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The space for the next read. Only called when all is decrypted.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.start = 0;
        self.end = 0;
        &mut self.bytes
    }

    /// Records a read of `n` bytes.
    pub(super) fn filled(&mut self, n: usize) {
        self.is_new = false;
        self.end = n;
    }

    /// As [`RecordBuffer::space`], larger if the last read filled it.
    fn next_space(&mut self) -> &mut [u8] {
        let full = self.end == self.bytes.len();
        let next = READ_SIZES.into_iter().find(|step| *step > self.bytes.len());
        if let Some(next) = next.filter(|_| full) {
            self.bytes = memory::zeroed_buffer(next, self.bytes.len());
        }
        self.space()
    }

    /// Passes one piece of the unread bytes to the TLS state.
    fn feed(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let mut rest = &self.bytes[self.start..self.end];
        let taken = connection.read_tls(&mut rest).map_err(|e| Error::General(e.to_string()))?;
        self.record.advance(&self.bytes[self.start..self.start + taken]);
        self.start += taken;
        connection.process_new_packets().map(drop)
    }

    /// Feeds until all is read or the handshake is complete: what follows is application data.
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
    /// Received bytes of the header.
    header: u8,
    /// The last two of them.
    length: u16,
    /// Missing bytes after a complete header.
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

    fn is_complete(&self) -> bool {
        self.header == 0 && self.left == 0
    }
}

/// Sends queued records without blocking; returns whether all were sent.
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

/// Writes to a socket without blocking (send(2), `MSG_DONTWAIT`).
struct NonBlockingWriter<'a>(&'a Socket);

const SEND_FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

impl Write for NonBlockingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send_with_flags(bytes, SEND_FLAGS)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.send_vectored_with_flags(pieces, SEND_FLAGS)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Shared {
    connection: Mutex<Connection>,
    handle: ConnectionHandle,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends all queued records; the lock is released while the send buffer is full.
    fn send_all<'a>(&'a self, mut connection: MutexGuard<'a, Connection>) -> io::Result<()> {
        while !send_some(&mut connection, self.handle.socket())? {
            drop(connection);
            self.wait_writable()?;
            connection = self.lock();
        }
        Ok(())
    }

    /// Waits for room in the send buffer, at most as long as the write timeout of the socket.
    fn wait_writable(&self) -> io::Result<()> {
        let socket = self.handle.socket();
        let timeout = socket.write_timeout()?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT)];
        match poll_until(&mut fds, deadline)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }
}

/// The half that decrypts.
struct TlsReader {
    shared: Arc<Shared>,
    inner: Box<dyn Reader>,
    records: RecordBuffer,
    on_truncation: OnTruncation,
    /// The error after the last plain text, for the next read.
    pending_error: Option<io::Error>,
}

/// What the TLS state has for a reader.
enum Progress {
    /// This many bytes of plain text.
    Plaintext(usize),
    /// The peer has sent close_notify.
    Closed,
    /// More records are needed.
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
            if filled == plain.len() || self.records.unread().is_empty() {
                break;
            }
            if let Err(error) = self.records.feed(&mut connection) {
                // The alert is sent if the kernel has room for it.
                let _ = send_some(&mut connection, shared.handle.socket());
                // What was decrypted before the error is delivered first.
                self.pending_error = Some(protocol_error(&error));
                break;
            }
            if connection.wants_write() {
                // A peer that no longer reads is the writer's error: reading continues.
                let _ = send_some(&mut connection, shared.handle.socket());
            }
        }
        match self.pending_error.take() {
            Some(error) if filled == 0 => Err(error),
            error => {
                self.pending_error = error;
                Ok(if filled > 0 { Progress::Plaintext(filled) } else { Progress::NeedMore })
            }
        }
    }
}

impl Read for TlsReader {
    fn read(&mut self, plain: &mut [u8]) -> io::Result<usize> {
        let len = plain.len().min(READ_CHUNK);
        let plain = &mut plain[..len];
        if plain.is_empty() {
            return Ok(0);
        }
        loop {
            let has_records = !self.records.unread().is_empty();
            match self.poll_record(plain)? {
                Progress::Plaintext(n) => return Ok(n),
                Progress::Closed => return Ok(0),
                // The records had no data, or are incomplete: who has a deadline waits for more.
                Progress::NeedMore if has_records => return Err(io::ErrorKind::Interrupted.into()),
                Progress::NeedMore => {}
            }
            let n = self.inner.read(self.records.next_space())?;
            if n == 0 {
                return self.check_end().map(|()| 0);
            }
            self.records.filled(n);
        }
    }
}

impl TlsReader {
    /// Checks an end of stream without close_notify: closed locally, truncated, or malformed if it
    /// is inside a record.
    fn check_end(&self) -> io::Result<()> {
        let handle = &self.shared.handle;
        if handle.closed_locally() {
            return Ok(());
        }
        if !self.records.record.is_complete() {
            let why = "the peer ended inside a TLS record, without close_notify".to_string();
            let inner =
                LayerError { phase: Phase::Receive, code: ExitCode::Partial, why, hint: None };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, inner));
        }
        if self.on_truncation == OnTruncation::Fail {
            handle.note_truncation();
        }
        Ok(())
    }
}

impl Reader for TlsReader {
    fn is_ready(&self) -> bool {
        let has_plaintext = || {
            let state = self.shared.lock().process_new_packets();
            state.is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
        };
        !self.records.unread().is_empty() || has_plaintext() || self.inner.is_ready()
    }
}

fn protocol_error(error: &Error) -> io::Error {
    let why = match error {
        Error::AlertReceived(alert) => describe::alert_message(*alert),
        other => error_text::of(other),
    };
    let inner = LayerError { phase: Phase::Tls, code: ExitCode::Tls, why, hint: None };
    io::Error::new(io::ErrorKind::InvalidData, inner)
}

/// The half that encrypts.
struct TlsWriter {
    shared: Arc<Shared>,
    inner: Box<dyn Writer>,
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
        if connection.wants_write() { self.shared.send_all(connection) } else { Ok(()) }
    }
}

impl Writer for TlsWriter {
    /// Sends `close_notify` (RFC 8446 §6.1), then half-closes the stream below.
    fn finish(&mut self) -> io::Result<()> {
        let mut connection = self.shared.lock();
        connection.send_close_notify();
        match self.shared.send_all(connection) {
            // The peer has closed already.
            Err(e) if matches!(e.kind(), io::ErrorKind::BrokenPipe) => Ok(()),
            Err(e) => Err(e),
            Ok(()) => self.inner.finish(),
        }
    }
}

/// The stream after a completed handshake; `records` holds what followed the peer's part of it.
pub(super) fn split(
    stream: Stream,
    mut connection: Connection,
    records: RecordBuffer,
    on_truncation: OnTruncation,
) -> Stream {
    // What a write accepts is sent before it returns, so at most one chunk is buffered.
    connection.set_buffer_limit(None);
    let connection = Mutex::new(connection);
    let shared = Arc::new(Shared { connection, handle: stream.handle.clone() });
    Stream {
        reader: Box::new(TlsReader {
            shared: shared.clone(),
            inner: stream.reader,
            records,
            on_truncation,
            pending_error: None,
        }),
        writer: Box::new(TlsWriter { shared, inner: stream.writer }),
        handle: stream.handle,
        info: ConnectionInfo { is_encrypted: true, ..stream.info },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_is_complete_only_after_its_last_byte() {
        let two = b"\x17\x03\x03\x00\x02ab\x17\x03\x03\x01\x01".to_vec();
        let two = [two, vec![b'x'; 257]].concat();
        let whole = [0, 7, two.len()];
        for cut in 0..=two.len() {
            let mut record = Record::default();
            record.advance(&two[..cut / 2]);
            record.advance(&two[cut / 2..cut]);
            assert_eq!(record.is_complete(), whole.contains(&cut), "{cut}");
        }
    }
}
