//! The connection to a proxy during the exchange with it.

use std::io::{self, ErrorKind, Read, Write};

use rustix::event::PollFlags;

use crate::error::{ExitCode, Failure, Phase, message_without_errno};
use crate::net::layer::HandshakeContext;
use crate::net::stream::Stream;

/// The connection to the proxy before it becomes the target's: complete writes, exact reads, and the
/// step in every failure.
pub(super) struct ProxyConn<'a> {
    pub stream: &'a mut Stream,
    pub context: &'a HandshakeContext<'a>,
}

impl ProxyConn<'_> {
    /// Sends all of `bytes`, which fit into the send buffer.
    pub fn write(&mut self, step: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.writer.write_all(bytes).map_err(|e| self.io_error(step, &e))
    }

    /// Receives exactly as many bytes as `answer` holds.
    pub fn read_exact(&mut self, step: &str, answer: &mut [u8]) -> Result<(), Failure> {
        let mut got = 0;
        while got < answer.len() {
            self.wait(step)?;
            match self.stream.reader.read(&mut answer[got..]) {
                Ok(0) => {
                    let why = format!(
                        "the proxy closed the connection after {got} of {} bytes",
                        answer.len()
                    );
                    return Err(self.protocol_error(step, &why));
                }
                Ok(n) => got += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.io_error(step, &e)),
            }
        }
        Ok(())
    }

    /// Waits for more of the proxy's answer.
    pub fn wait(&self, step: &str) -> Result<(), Failure> {
        let socket = self.stream.handle.socket();
        let ready = self.context.wait(Phase::Proxy, socket, PollFlags::IN);
        ready.map_err(|failure| failure.with_context(step))
    }

    /// Logs a message of the handshake (`-vv`): `>` was sent, `<` received.
    pub fn log(&self, message: impl Into<String>) {
        self.context.log_message(message);
    }

    pub fn failure(&self, step: &str, why: &str) -> Failure {
        Failure::new(Phase::Proxy, &self.context.target, format!("{step}: {why}"))
    }

    /// The proxy violates its protocol: code 8.
    pub fn protocol_error(&self, step: &str, why: &str) -> Failure {
        self.failure(step, why).with_code(ExitCode::Protocol)
    }

    /// The proxy refuses: code 97.
    pub fn refused(&self, step: &str, why: &str) -> Failure {
        self.failure(step, why).with_code(ExitCode::Proxy)
    }

    /// A reset counts as an early close (8): which of them arrives depends on whether the proxy had
    /// read everything. Any other error is 7.
    pub fn io_error(&self, step: &str, error: &io::Error) -> Failure {
        let why = message_without_errno(error);
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => self.protocol_error(step, &why),
            _ => self.failure(step, &why),
        }
    }
}
