//! The datagrams of one client that wait for the thread of its flow.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::poll::{WakePipe, wake};

/// Datagrams of one client that wait for their flow's thread; further ones are dropped, as by a full
/// receive buffer.
const MAX_QUEUED: usize = 1024;

/// Datagrams on the way from the receiving thread to that of a flow.
#[derive(Debug)]
pub struct FlowQueue {
    datagrams: Mutex<VecDeque<Vec<u8>>>,
    wake: WakePipe,
}

impl FlowQueue {
    /// An empty queue. Fails when no pipe can be created.
    pub fn new() -> io::Result<FlowQueue> {
        Ok(FlowQueue { datagrams: Mutex::default(), wake: WakePipe::new()? })
    }

    /// Adds a datagram, and wakes the flow.
    pub fn push(&self, datagram: &[u8]) {
        let mut datagrams = self.lock();
        if datagrams.len() >= MAX_QUEUED {
            return;
        }
        datagrams.push_back(datagram.to_vec());
        if datagrams.len() == 1 {
            wake(&self.wake.tx);
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The descriptor that is readable while something waits.
    pub fn wake_rx(&self) -> BorrowedFd<'_> {
        self.wake.rx.as_fd()
    }

    /// Takes what waits.
    pub fn take(&self) -> VecDeque<Vec<u8>> {
        let mut datagrams = self.lock();
        let _ = rustix::io::read(&self.wake.rx, &mut [0; 8]);
        std::mem::take(&mut *datagrams)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Vec<u8>>> {
        self.datagrams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_queue_drops_datagrams_and_is_readable_once() {
        let queue = FlowQueue::new().unwrap();
        for n in 0..MAX_QUEUED + 5 {
            queue.push(&n.to_ne_bytes());
        }
        let taken = queue.take();
        assert_eq!((taken.len(), taken[0].as_slice()), (MAX_QUEUED, &0usize.to_ne_bytes()[..]));
        assert!(queue.is_empty());
        let again = rustix::io::read(&queue.wake.rx, &mut [0; 8]);
        assert_eq!(again, Err(rustix::io::Errno::AGAIN));
    }
}
