//! The TLS state behind its lock, and the sending of the records that it has produced.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::PollFlags;
use rustls::Connection;
use socket2::Socket;

use crate::net::stream::ConnectionHandle;
use crate::poll::poll_fd;

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

/// The TLS state of a connection, which its two halves share.
pub(super) struct TlsState {
    pub connection: Mutex<Connection>,
    pub handle: ConnectionHandle,
}

impl TlsState {
    pub fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends all queued records; the lock is released while the send buffer is full.
    pub fn send_all<'a>(&'a self, mut connection: MutexGuard<'a, Connection>) -> io::Result<()> {
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
        if poll_fd(socket, PollFlags::OUT, deadline)?.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    }
}
