//! The half of a TLS stream that decrypts.

use std::io::{self, Read};
use std::sync::Arc;

use rustls::Error;

use super::records::RecordBuffer;
use super::state::{TlsState, send_some};
use super::{OnTruncation, describe, error_text};
use crate::error::{ExitCode, LayerError, Phase};
use crate::net::stream::Reader;

/// Plain text that is returned by one read: it is still in the cache when it is written.
const READ_CHUNK: usize = 64 << 10;

/// The half that decrypts.
pub(super) struct TlsReader {
    pub state: Arc<TlsState>,
    pub inner: Box<dyn Reader>,
    pub records: RecordBuffer,
    pub on_truncation: OnTruncation,
    /// The error after the last plain text, for the next read.
    pub pending_error: Option<io::Error>,
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
            if let Some(n) = self.decrypt(plain)? {
                return Ok(n);
            }
            if has_records {
                // They had no data, or the last one is incomplete: who has a deadline waits for more.
                return Err(io::ErrorKind::Interrupted.into());
            }
            let n = self.inner.read(self.records.space())?;
            if n == 0 {
                return self.check_end().map(|()| 0);
            }
            self.records.filled(n);
        }
    }
}

impl TlsReader {
    /// Returns how many bytes of plain text the received records have, 0 for close_notify; `None` when
    /// more records are needed.
    fn decrypt(&mut self, plain: &mut [u8]) -> io::Result<Option<usize>> {
        let mut connection = self.state.lock();
        let mut filled = 0;
        loop {
            match connection.reader().read(&mut plain[filled..]) {
                Ok(0) => return Ok(Some(filled)),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
            let is_complete = filled == plain.len() || self.records.unread().is_empty();
            if is_complete || self.pending_error.is_some() {
                break;
            }
            let fed = self.records.feed(&mut connection);
            // An alert or a key update is sent if the kernel has room for it. A peer that no longer
            // reads is the writer's error: reading continues.
            let _ = send_some(&mut connection, self.state.handle.socket());
            // The records before the malformed one are delivered first.
            self.pending_error = fed.err().map(|error| protocol_error(&error));
        }
        match self.pending_error.take_if(|_| filled == 0) {
            Some(error) => Err(error),
            None => Ok((filled > 0).then_some(filled)),
        }
    }

    /// Checks an end of stream without close_notify: closed locally, truncated, or malformed if it
    /// is inside a record.
    fn check_end(&self) -> io::Result<()> {
        let handle = &self.state.handle;
        if handle.closed_locally() {
            return Ok(());
        }
        if !self.records.is_complete() {
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
        let is_decrypted = || {
            let processed = self.state.lock().process_new_packets();
            // A peer that waits for close_notify in return keeps the stream below open.
            processed.is_ok_and(|now| now.plaintext_bytes_to_read() > 0 || now.peer_has_closed())
        };
        let has_records = !self.records.unread().is_empty();
        self.pending_error.is_some() || has_records || is_decrypted() || self.inner.is_ready()
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
