//! The sending side of a datagram socket, and the errors that come back to it. As many threads as
//! like share one.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::PollFlags;
use socket2::{Domain, Socket};

use super::message::{IcmpError, Transmit};
use super::{portable, send_retry};
use crate::net::address::Address;
use crate::shutdown::Shutdown;

/// Errors kept until somebody asks; older ones are forgotten first.
const MOST_REFUSALS: usize = 64;

/// Sends by a mailbox's socket from any thread.
#[derive(Debug, Clone)]
pub struct Sender(pub(super) Arc<SharedSocket>);

impl Sender {
    /// Sends every letter, and tells `lost` of those that could not be sent and why.
    ///
    /// Full buffers are waited out for a moment each, and an error that belongs to an earlier
    /// datagram costs a later one nothing.
    pub fn send(&self, letters: &[Transmit<'_>], lost: &mut dyn FnMut(&Transmit<'_>, &io::Error)) {
        self.0.send(letters, lost);
    }
}

/// The socket and what is known of it.
#[derive(Debug)]
pub(super) struct SharedSocket {
    pub socket: Socket,
    pub stop: Shutdown,
    /// Whether datagrams are moved one at a time: recvmmsg(2) and sendmmsg(2) are Linux's, and a
    /// kernel may still refuse them.
    batching_disabled: AtomicBool,
    refusals: Mutex<VecDeque<IcmpError>>,
}

impl SharedSocket {
    pub fn new(socket: Socket, stop: &Shutdown) -> SharedSocket {
        let singly = AtomicBool::new(!cfg!(target_os = "linux"));
        SharedSocket {
            socket,
            stop: stop.clone(),
            batching_disabled: singly,
            refusals: Mutex::default(),
        }
    }

    /// As [`Sender::send`].
    pub fn send(&self, letters: &[Transmit<'_>], lost: &mut dyn FnMut(&Transmit<'_>, &io::Error)) {
        let mut left = letters;
        while let Some(first) = left.first() {
            let sent = match self.send_batch(left) {
                Ok(n) => n.max(1),
                Err(e) => {
                    if let Err(e) = send_retry::retry_send(self, first, e) {
                        lost(first, &e);
                    }
                    1
                }
            };
            left = &left[sent..];
        }
    }

    /// One system call's worth from the front of `letters`.
    pub fn send_batch(&self, letters: &[Transmit<'_>]) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        if !self.is_single() {
            match super::linux::send(self.socket.as_fd(), letters) {
                Err(e) if is_unsupported(&e) => self.disable_batching(),
                done => return done,
            }
        }
        portable::send(&self.socket, letters)
    }

    /// Whether datagrams are moved one at a time.
    pub fn is_single(&self) -> bool {
        self.batching_disabled.load(Ordering::Relaxed)
    }

    /// Does without batches from now on.
    pub fn disable_batching(&self) {
        self.batching_disabled.store(true, Ordering::Relaxed);
    }

    /// Waits until there is room to send, at most until `until`, or until the run is to end.
    pub fn wait_writable(&self, until: Instant) {
        let _ = self.stop.wait(self.socket.as_fd(), PollFlags::OUT, Some(until));
    }

    /// What came back since the last time this was asked: datagrams of ours that nobody wanted.
    pub fn refusals(&self) -> VecDeque<IcmpError> {
        mem::take(&mut self.take_error())
    }

    /// Whether `error` only tells that an earlier datagram of ours was refused; then it is kept for
    /// [`SharedSocket::refusals`].
    pub fn is_refusal(&self, error: &io::Error) -> bool {
        let collected = self.collect_refusals();
        let Some(errno) = error.raw_os_error().filter(|errno| is_icmp_errno(*errno)) else {
            return collected;
        };
        if !collected {
            // Only a connected socket has such errors without a queue of them.
            let Ok(peer) = self.socket.peer_addr() else { return false };
            self.store_error(IcmpError { peer: Address::from(&peer), errno });
        }
        true
    }

    #[cfg(target_os = "linux")]
    fn collect_refusals(&self) -> bool {
        // A Unix socket has no queue of errors, and gives a datagram away to whoever asks for one.
        if self.socket.domain().is_ok_and(|domain| domain == Domain::UNIX) {
            return false;
        }
        let queue = || super::linux::refused(self.socket.as_fd());
        let fresh = std::iter::from_fn(queue).take(MOST_REFUSALS);
        fresh.map(|refused| self.store_error(refused)).count() > 0
    }

    #[cfg(not(target_os = "linux"))]
    fn collect_refusals(&self) -> bool {
        false
    }

    fn store_error(&self, refused: IcmpError) {
        let mut kept = self.take_error();
        if kept.len() >= MOST_REFUSALS {
            kept.pop_front();
        }
        kept.push_back(refused);
    }

    fn take_error(&self) -> MutexGuard<'_, VecDeque<IcmpError>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the kernel does not know a call.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOSYS)
}

/// Errors that ICMP brings (icmp(7); RFC 1122 §4.1.3.3).
fn is_icmp_errno(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENOPROTOOPT
            | libc::EPROTO
    )
}
