//! Copies between a peer and its child, one direction on each thread, with the state they share.

use std::io::{self, ErrorKind, Write};
use std::process::ChildStdin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::net::activity::Activity;
use crate::net::stream::{Reader, Writer};
use crate::transfer::buffer::Buffer;

/// Bytes that a peer may still send after the child's end of output.
const MAX_DRAIN: u64 = 1 << 20;

/// The state of both directions.
#[derive(Debug, Default)]
pub struct CopyState {
    /// Bytes from the peer.
    pub bytes_in: AtomicU64,
    /// The peer's end of stream has been read.
    pub peer_eof: AtomicBool,
    /// The child's complete output has been sent.
    pub output_sent: AtomicBool,
    /// The connection failed before that.
    pub has_failed: AtomicBool,
    /// A byte moved in either direction since the idle timeout was last checked.
    has_moved: AtomicBool,
}

impl CopyState {
    /// Copies from the peer to the child until the peer's end of stream, also when the child does
    /// not read: closing the socket with unread data would reset it, and the peer would lose the
    /// output.
    ///
    /// Fails when the connection fails, or no byte moved in either direction for the idle timeout.
    /// Does not close the child's input: its owner first records how this ended, because the child
    /// may exit as soon as its input does.
    pub fn peer_to_child(
        &self,
        reader: &mut dyn Reader,
        child: &mut Option<ChildStdin>,
        activity: &Activity,
    ) -> io::Result<()> {
        let mut buffer = Buffer::small();
        let mut drained = 0;
        loop {
            let n = match activity.while_waiting(|| reader.read(buffer.spare())) {
                Ok(n) => n,
                Err(e) if self.should_retry(&e) => continue,
                Err(e) => return Err(e),
            };
            if n == 0 {
                self.peer_eof.store(true, Ordering::SeqCst);
                return Ok(());
            }
            self.bytes_in.fetch_add(n as u64, Ordering::Relaxed);
            self.has_moved.store(true, Ordering::Relaxed);
            if self.output_sent.load(Ordering::SeqCst) {
                drained += n as u64;
                if drained > MAX_DRAIN {
                    return Ok(());
                }
            }
            if let Some(pipe) = child
                && pipe.write_all(buffer.filled(n)).is_err()
            {
                *child = None;
            }
            buffer.grow_if_full(n);
        }
    }

    /// Sends all of `bytes` to the peer; adds what was sent, also before a failure, to `bytes_out`.
    pub fn child_to_peer(
        &self,
        writer: &mut dyn Writer,
        mut bytes: &[u8],
        bytes_out: &mut u64,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            match writer.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    *bytes_out += n as u64;
                    bytes = &bytes[n..];
                    self.has_moved.store(true, Ordering::Relaxed);
                }
                Err(e) if self.should_retry(&e) => {}
                Err(e) => return Err(e),
            }
        }
        writer.flush()
    }

    /// Whether a failed call is retried: after a signal, or when the idle timeout passed in this
    /// direction while bytes moved in the other.
    fn should_retry(&self, e: &io::Error) -> bool {
        match e.kind() {
            ErrorKind::Interrupted => true,
            ErrorKind::WouldBlock => self.has_moved.swap(false, Ordering::Relaxed),
            _ => false,
        }
    }
}
