//! The open flows of a UDP relay.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::flow_queue::FlowQueue;
use crate::net::address::Address;
use crate::poll::{WakePipe, clear, poll_until, wake};

/// The flows of a run by the address of their client.
pub struct FlowTable {
    flows: Mutex<HashMap<Address, Arc<FlowQueue>>>,
    wake: WakePipe,
}

/// Removes a flow from the table at its end, also after a panic.
pub struct FlowRemoval<'a> {
    /// The table.
    pub table: &'a FlowTable,
    /// The client.
    pub peer: &'a Address,
    /// The queue of the flow: the client may have a later one.
    pub queue: &'a Arc<FlowQueue>,
}

impl Drop for FlowRemoval<'_> {
    fn drop(&mut self) {
        let mut flows = self.table.lock();
        if flows.get(self.peer).is_some_and(|queue| Arc::ptr_eq(queue, self.queue)) {
            flows.remove(self.peer);
        }
        drop(flows);
        wake(&self.table.wake.tx);
    }
}

impl FlowTable {
    /// An empty table. Fails when no pipe can be created.
    pub fn new() -> io::Result<FlowTable> {
        Ok(FlowTable { flows: Mutex::default(), wake: WakePipe::new()? })
    }

    /// The descriptor that becomes readable when a flow ends.
    pub fn wake_rx(&self) -> BorrowedFd<'_> {
        self.wake.rx.as_fd()
    }

    /// Locks the flows.
    pub fn lock(&self) -> MutexGuard<'_, HashMap<Address, Arc<FlowQueue>>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no flow is open.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Removes the flow of `peer` if no datagram has arrived for it meanwhile.
    pub fn remove_idle(&self, peer: &Address, queue: &FlowQueue) -> bool {
        let mut flows = self.lock();
        let is_idle = queue.is_empty();
        if is_idle {
            flows.remove(peer);
        }
        is_idle
    }

    /// Waits until all flows have ended, at most for `timeout`.
    pub fn wait_until_empty(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        while !self.is_empty() && Instant::now() < deadline {
            let mut fds = [PollFd::from_borrowed_fd(self.wake_rx(), PollFlags::IN)];
            let _ = poll_until(&mut fds, Some(deadline));
            clear(self.wake_rx());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_a_flow_leaves_a_later_one_of_the_same_client() {
        let (table, peer) = (FlowTable::new().unwrap(), Address::Unnamed);
        let [first, second] = [(), ()].map(|()| Arc::new(FlowQueue::new().unwrap()));
        table.lock().insert(peer.clone(), first.clone());
        assert!(table.remove_idle(&peer, &first));
        table.lock().insert(peer.clone(), second.clone());
        drop(FlowRemoval { table: &table, peer: &peer, queue: &first });
        assert!(!table.is_empty());
        drop(FlowRemoval { table: &table, peer: &peer, queue: &second });
        assert!(table.is_empty());
    }
}
