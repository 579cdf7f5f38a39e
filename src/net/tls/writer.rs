//! The half of a TLS stream that encrypts.

use std::io::{self, Write};
use std::sync::Arc;

use super::state::TlsState;
use crate::net::stream::Writer;

/// Plain text that is encrypted and sent in one step: six records. The allocator returns 128 KiB and
/// more of free memory at the top of its heap to the kernel (mallopt(3), `M_TRIM_THRESHOLD`); larger
/// chunks make it do so after each of them, which costs a fifth of all time.
const WRITE_CHUNK: usize = 96 << 10;

/// The half that encrypts.
pub(super) struct TlsWriter {
    pub state: Arc<TlsState>,
    pub inner: Box<dyn Writer>,
}

impl Write for TlsWriter {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        let piece = &plain[..plain.len().min(WRITE_CHUNK)];
        let mut connection = self.state.lock();
        let taken = connection.writer().write(piece)?;
        self.state.send_all(connection)?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.state.send_all(self.state.lock())
    }
}

impl Writer for TlsWriter {
    /// Sends `close_notify` (RFC 8446 §6.1), then half-closes the stream below.
    fn half_close(&mut self) -> io::Result<()> {
        let mut connection = self.state.lock();
        connection.send_close_notify();
        match self.state.send_all(connection) {
            // The peer has closed already.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(e) => Err(e),
            Ok(()) => self.inner.half_close(),
        }
    }
}
