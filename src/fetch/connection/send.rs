//! Sends the request of one exchange.

use std::io;

use super::HttpConnection;
use crate::error::{Failure, Phase};

/// A socket that poll(2) calls writable accepts at least this much without blocking.
const SEND_CHUNK: usize = 4096;

impl HttpConnection {
    /// Sends the request.
    ///
    /// A peer that has responded already may not read on: if it resets the connection, or there is
    /// no space while a response arrives, sending ends and the response has the reason. Fails at
    /// [`Phase::Send`] when the wait fails or the local system does not send.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        for chunk in bytes.chunks(SEND_CHUNK) {
            if !self.wait_for_space()? {
                return Ok(());
            }
            if let Err(e) = self.stream.writer.write_all(chunk) {
                if is_local_abort(&e) {
                    return Err(Failure::new(Phase::Send, &self.target, e));
                }
                self.send_error = Some(e);
                return Ok(());
            }
            self.bytes_out += chunk.len() as u64;
        }
        // An error is found by the next read.
        let _ = self.stream.writer.flush();
        Ok(())
    }

    pub fn half_close(&mut self) {
        let _ = self.stream.writer.half_close();
    }

    /// The failure of a request that the peer refused without a response.
    pub fn send_failure(&mut self) -> Option<Failure> {
        let e = self.send_error.take().filter(|_| self.bytes_in == 0)?;
        Some(self.refused(Phase::Receive, e))
    }

    /// The failure of a request that the peer refused, at `phase` if it refused all of it.
    pub fn refused(&self, phase: Phase, e: io::Error) -> Failure {
        match self.bytes_out {
            0 => Failure::new(phase, &self.target, e),
            sent => Failure::send(&self.target, e, sent, 0),
        }
    }
}

/// Whether the local system refused to send, and not the peer to receive.
fn is_local_abort(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|errno| errno != libc::EPIPE && errno != libc::ECONNRESET)
}
