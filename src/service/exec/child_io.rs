//! The two directions between a peer and its child, and what each must know of the other.

use std::io::{self, ErrorKind, Write};
use std::process::ChildStdin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::net::activity::Activity;
use crate::net::stream::{Reader, Writer};
use crate::transfer::buffer::Buffer;

/// Bytes a peer may still send after the child's answer is over.
const LAST_WORDS: u64 = 1 << 20;

/// What both directions see.
#[derive(Debug, Default)]
pub struct CopyState {
    /// Bytes from the peer.
    pub bytes_in: AtomicU64,
    /// The peer will send no more.
    pub peer_done: AtomicBool,
    /// The child has said all it had to say.
    pub answered: AtomicBool,
    /// The connection broke before that.
    pub broken: AtomicBool,
    /// Something moved either way since the idle limit last looked.
    moved: AtomicBool,
}

impl CopyState {
    /// Moves what the peer says to the child until the peer ends, whether or not the child
    /// listens: a peer that is not heard would not see its answer, for a close with unread data is
    /// a reset.
    ///
    /// Fails when the connection breaks, or nothing moved either way for the idle limit.
    pub fn peer_to_child(
        &self,
        reader: &mut dyn Reader,
        child: Option<ChildStdin>,
        activity: &Activity,
    ) -> io::Result<()> {
        let mut child = child;
        let mut buffer = Buffer::small();
        let mut last_words = 0;
        loop {
            let n = match activity.while_waiting(|| reader.read(buffer.spare())) {
                Ok(n) => n,
                Err(e) if self.should_retry(&e) => continue,
                Err(e) => return Err(e),
            };
            if n == 0 {
                self.peer_done.store(true, Ordering::SeqCst);
                return Ok(());
            }
            self.bytes_in.fetch_add(n as u64, Ordering::Relaxed);
            self.moved.store(true, Ordering::Relaxed);
            if self.answered.load(Ordering::SeqCst) {
                last_words += n as u64;
                if last_words > LAST_WORDS {
                    return Ok(());
                }
            }
            if let Some(pipe) = &mut child
                && pipe.write_all(buffer.filled(n)).is_err()
            {
                child = None;
            }
            buffer.grow_if_full(n);
        }
    }

    /// Sends all of `bytes` to the peer; returns how many it took before it failed, if it did.
    pub fn child_to_peer(
        &self,
        writer: &mut dyn Writer,
        mut bytes: &[u8],
    ) -> (u64, io::Result<()>) {
        let mut taken = 0;
        while !bytes.is_empty() {
            match writer.write(bytes) {
                Ok(0) => return (taken, Err(ErrorKind::WriteZero.into())),
                Ok(n) => {
                    taken += n as u64;
                    bytes = &bytes[n..];
                    self.moved.store(true, Ordering::Relaxed);
                }
                Err(e) if self.should_retry(&e) => {}
                Err(e) => return (taken, Err(e)),
            }
        }
        (taken, writer.flush())
    }

    /// Whether a failed call is to be tried again: a signal came, or the idle limit passed in this
    /// direction while the other moved.
    fn should_retry(&self, e: &io::Error) -> bool {
        match e.kind() {
            ErrorKind::Interrupted => true,
            ErrorKind::WouldBlock => self.moved.swap(false, Ordering::Relaxed),
            _ => false,
        }
    }
}
