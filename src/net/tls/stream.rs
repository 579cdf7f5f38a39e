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

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use rustls::Connection;

use super::OnTruncation;
use super::reader::TlsReader;
use super::records::RecordBuffer;
use super::state::Session;
use crate::net::stream::{ConnectionInfo, Stream, Writer};

/// Plain text that is encrypted and sent in one step: six records. The allocator returns 128 KiB and
/// more of free memory at the top of its heap to the kernel (mallopt(3), `M_TRIM_THRESHOLD`); larger
/// chunks make it do so after each of them, which costs a fifth of all time.
const WRITE_CHUNK: usize = 96 << 10;

/// The half that encrypts.
struct TlsWriter {
    session: Arc<Session>,
    inner: Box<dyn Writer>,
}

impl Write for TlsWriter {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        let piece = &plain[..plain.len().min(WRITE_CHUNK)];
        let mut connection = self.session.lock();
        let taken = connection.writer().write(piece)?;
        self.session.send_all(connection)?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.session.send_all(self.session.lock())
    }
}

impl Writer for TlsWriter {
    /// Sends `close_notify` (RFC 8446 §6.1), then half-closes the stream below.
    fn finish(&mut self) -> io::Result<()> {
        let mut connection = self.session.lock();
        connection.send_close_notify();
        match self.session.send_all(connection) {
            // The peer has closed already.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
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
    let session = Arc::new(Session { connection, handle: stream.handle.clone() });
    Stream {
        reader: Box::new(TlsReader {
            session: session.clone(),
            inner: stream.reader,
            records,
            on_truncation,
            pending_error: None,
        }),
        writer: Box::new(TlsWriter { session, inner: stream.writer }),
        handle: stream.handle,
        info: ConnectionInfo { is_encrypted: true, ..stream.info },
    }
}
