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

use std::sync::{Arc, Mutex};

use rustls::Connection;

use super::OnTruncation;
use super::reader::TlsReader;
use super::records::RecordBuffer;
use super::state::TlsState;
use super::writer::TlsWriter;
use crate::net::stream::{ConnectionInfo, Stream};

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
    let state = Arc::new(TlsState { connection, handle: stream.handle.clone() });
    Stream {
        reader: Box::new(TlsReader {
            state: state.clone(),
            inner: stream.reader,
            records,
            on_truncation,
            pending_error: None,
        }),
        writer: Box::new(TlsWriter { state, inner: stream.writer }),
        handle: stream.handle,
        info: ConnectionInfo { is_encrypted: true, ..stream.info },
    }
}
