//! The open connections of a server: counted against its limits, and closed when it stops.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::per_ip_limit::PerIpPermit;
use crate::net::activity::Activity;
use crate::net::stream::ConnectionHandle;
use crate::poll::{WakePipe, clear, poll_until, wake};
use crate::shutdown::{Shutdown, ShutdownReason, WaitOutcome};

/// How often a drain checks whether a connection has become idle.
const IDLE_CHECK_INTERVAL: Duration = Duration::from_millis(10);
/// How long connections that were reset have to emit their `closed` event; a thread that waits for
/// something else than its peer is not waited for any longer.
const ABORT_GRACE: Duration = Duration::from_millis(300);
/// How long those that are left have once their service is closed.
const CLOSED_SERVICE_GRACE: Duration = Duration::from_secs(1);

/// All open connections of a server. Clones share the list.
#[derive(Debug, Clone)]
pub struct ConnectionTracker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The limit of connections that are open concurrently.
    max_open: usize,
    /// The limit of connections of the complete run.
    max_total: Option<u32>,
    entries: Mutex<HashMap<u64, Entry>>,
    /// Connections of the complete run that count towards its limit.
    counted: AtomicU64,
    /// Connections that the shutdown of the run has reset.
    resets: AtomicUsize,
    wake_rx: OwnedFd,
    wake_tx: OwnedFd,
    /// Whether a thread waits for a change: without one a close costs no system call.
    has_waiter: AtomicBool,
}

#[derive(Debug)]
struct Entry {
    handle: ConnectionHandle,
    activity: Activity,
    read_closed: bool,
    counted: bool,
    is_reset: bool,
}

/// Whether another connection may be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    /// It may.
    Available,
    /// Not before an open connection has closed, or turned out not to count.
    Full,
    /// No more in this run.
    Exhausted,
}

/// The entry of an open connection; dropping it removes the connection from the list.
#[derive(Debug)]
pub struct TrackedConnection {
    connections: ConnectionTracker,
    /// Number of the connection in this run, from 1.
    pub conn: u64,
    /// Its part of the limit per address.
    _per_ip: Option<PerIpPermit>,
    /// Set by the thread that serves the connection.
    pub activity: Activity,
}

impl TrackedConnection {
    /// Counts the connection towards the limit of the complete run.
    pub fn count(&self) {
        self.connections.count(self.conn);
        self.connections.wake();
    }

    /// Counts the connection among those that the shutdown of the run has reset.
    pub fn count_reset(&self) {
        if let Some(entry) = self.connections.lock().get_mut(&self.conn) {
            self.connections.count_reset(entry);
        }
    }
}

impl Drop for TrackedConnection {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.conn);
        self.connections.wake();
    }
}

impl ConnectionTracker {
    /// An empty list, with the limits of connections that are open concurrently and of those of the
    /// complete run. Fails when no pipe can be created.
    pub fn new(max_open: usize, max_total: Option<u32>) -> std::io::Result<ConnectionTracker> {
        let WakePipe { rx: wake_rx, tx: wake_tx } = WakePipe::new()?;
        Ok(ConnectionTracker(Arc::new(Shared {
            max_open,
            max_total,
            entries: Mutex::default(),
            counted: AtomicU64::new(0),
            resets: AtomicUsize::new(0),
            wake_rx,
            wake_tx,
            has_waiter: AtomicBool::new(false),
        })))
    }

    /// Adds connection `conn` to the list, with its part of the limit per address.
    pub fn track(
        &self,
        conn: u64,
        handle: ConnectionHandle,
        per_ip: Option<PerIpPermit>,
    ) -> TrackedConnection {
        let activity = Activity::default();
        let entry = Entry {
            handle,
            activity: activity.clone(),
            read_closed: false,
            counted: false,
            is_reset: false,
        };
        self.lock().insert(conn, entry);
        TrackedConnection { connections: self.clone(), conn, _per_ip: per_ip, activity }
    }

    /// Counts connection `conn` towards the limit of the complete run; it may be closed already.
    pub fn count(&self, conn: u64) {
        let mut entries = self.lock();
        self.0.counted.fetch_add(1, Ordering::SeqCst);
        if let Some(entry) = entries.get_mut(&conn) {
            entry.counted = true;
        }
    }

    /// Whether the limits allow another connection. An open one that is not counted yet may still be.
    pub fn capacity(&self) -> Capacity {
        let entries = self.lock();
        let counted = self.0.counted.load(Ordering::SeqCst);
        let left = self.0.max_total.map(|max| u64::from(max).saturating_sub(counted));
        let uncounted = || entries.values().filter(|entry| !entry.counted).count() as u64;
        match left {
            Some(0) => Capacity::Exhausted,
            _ if entries.len() >= self.0.max_open => Capacity::Full,
            Some(left) if uncounted() >= left => Capacity::Full,
            _ => Capacity::Available,
        }
    }

    /// Wakes the thread that waits for a change, if there is one.
    fn wake(&self) {
        if self.0.has_waiter.load(Ordering::SeqCst) {
            wake(&self.0.wake_tx);
        }
    }

    fn len(&self) -> usize {
        self.lock().len()
    }

    /// Empties the wake pipe and enables wake-ups. The condition that is waited for must be checked
    /// afterwards, not before.
    fn clear_wakeups(&self) {
        self.0.has_waiter.store(true, Ordering::SeqCst);
        clear(&self.0.wake_rx);
    }

    /// Closes every connection: idle ones immediately, busy ones once they have replied; those
    /// that are left at `deadline` are reset. Returns how many were reset, also by their own threads.
    ///
    /// A connection is closed by ending its input: the service reads end of stream and closes.
    pub fn drain(&self, deadline: Option<Instant>) -> usize {
        while self.len() > 0 {
            if deadline.is_some_and(|at| at <= Instant::now()) {
                self.abort_remaining();
                break;
            }
            self.close_idle();
            self.wait_for_close(Instant::now() + IDLE_CHECK_INTERVAL);
        }
        self.0.resets.load(Ordering::SeqCst)
    }

    /// Counts a reset once: the thread of a connection that is aborted may reset it too.
    fn count_reset(&self, entry: &mut Entry) {
        if !std::mem::replace(&mut entry.is_reset, true) {
            self.0.resets.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits until a connection has closed, `deadline` at the latest; not if none is open.
    fn wait_for_close(&self, deadline: Instant) {
        self.clear_wakeups();
        if self.len() > 0 {
            let mut fds = [PollFd::new(&self.0.wake_rx, PollFlags::IN)];
            let _ = poll_until(&mut fds, Some(deadline));
        }
    }

    /// Waits until the last connection has closed by itself, or the run is shut down.
    pub fn wait_until_empty(&self, shutdown: &Shutdown) -> Result<(), ShutdownReason> {
        self.wait_while(shutdown, || self.len() > 0)
    }

    /// Waits while the limits allow no other connection, or until the run is shut down.
    pub fn wait_for_capacity(&self, shutdown: &Shutdown) -> Result<(), ShutdownReason> {
        self.wait_while(shutdown, || self.capacity() == Capacity::Full)
    }

    /// Waits until `condition`, checked at each change of the list, is false.
    fn wait_while(
        &self,
        shutdown: &Shutdown,
        condition: impl Fn() -> bool,
    ) -> Result<(), ShutdownReason> {
        while condition() {
            self.clear_wakeups();
            if !condition() {
                break;
            }
            let waited = shutdown.wait(self.0.wake_rx.as_fd(), PollFlags::IN, None);
            if let Ok(WaitOutcome::Shutdown(reason)) = waited {
                return Err(reason);
            }
        }
        Ok(())
    }

    fn close_idle(&self) {
        for (conn, entry) in self.lock().iter_mut() {
            if !entry.read_closed && entry.activity.is_idle() && entry.handle.is_quiescent() {
                tracing::debug!(conn, "shutdown: closing an idle connection");
                entry.handle.shutdown_read();
                entry.read_closed = true;
            }
        }
    }

    fn abort_remaining(&self) {
        let mut entries = self.lock();
        tracing::debug!(connections = entries.len(), "shutdown: the rest is reset");
        for entry in entries.values_mut() {
            entry.handle.abort();
            self.count_reset(entry);
        }
        drop(entries);
        self.wait_for_aborted(ABORT_GRACE);
    }

    /// Waits until the connections that were reset have emitted their `closed` event, a limited time;
    /// to be called when the service is closed.
    pub fn wait_for_closed_service(&self) {
        self.wait_for_aborted(CLOSED_SERVICE_GRACE);
    }

    fn wait_for_aborted(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.len() > 0 && Instant::now() < deadline {
            self.wait_for_close(deadline);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rng::TestRng;
    use std::os::unix::net::UnixStream;
    use std::thread;

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn handle() -> (ConnectionHandle, UnixStream) {
        let (local, peer) = UnixStream::pair().unwrap();
        (ConnectionHandle::new(Arc::new(local.into())), peer)
    }

    /// Connections close around the moment at which a wait for that begins: a lost wake-up would
    /// leave the waiter waiting for its deadline.
    #[test]
    fn close_during_start_of_wait_wakes_the_waiter() {
        let mut rng = TestRng::new();
        let shutdown = Shutdown::new(Some(Instant::now() + TIMEOUT)).unwrap();
        for round in 0..400 {
            let connections = ConnectionTracker::new(3, None).unwrap();
            let open =
                [0, 1, 2].map(|conn| (connections.track(conn, handle().0, None), rng.split()));
            thread::scope(|scope| {
                for (tracked, mut rng) in open {
                    scope.spawn(move || {
                        rng.random_pause();
                        drop(tracked);
                    });
                }
                rng.random_pause();
                for max in [3, 1] {
                    let waited = connections.wait_while(&shutdown, || connections.len() >= max);
                    assert_eq!(waited, Ok(()), "round {round}");
                }
            });
        }
    }

    #[test]
    fn uncounted_connection_reserves_its_part_of_the_quota() {
        let connections = ConnectionTracker::new(3, Some(2)).unwrap();
        assert_eq!(connections.capacity(), Capacity::Available);
        let (first, second) =
            (connections.track(1, handle().0, None), connections.track(2, handle().0, None));
        assert_eq!(connections.capacity(), Capacity::Full);
        drop(first);
        assert_eq!(connections.capacity(), Capacity::Available);
        second.count();
        let third = connections.track(3, handle().0, None);
        assert_eq!(connections.capacity(), Capacity::Full);
        third.count();
        assert_eq!(connections.capacity(), Capacity::Exhausted);
    }

    #[test]
    fn open_connections_are_limited() {
        let connections = ConnectionTracker::new(1, None).unwrap();
        let open = connections.track(1, handle().0, None);
        assert_eq!(connections.capacity(), Capacity::Full);
        drop(open);
        assert_eq!(connections.capacity(), Capacity::Available);
    }

    /// Peers send, pause and close while the drain runs: idle connections are closed, none is
    /// reset, and every request that was read has its reply.
    #[test]
    fn drain_closes_active_and_idle_connections_without_reset() {
        let mut rng = TestRng::new();
        for round in 0..100 {
            let connections = ConnectionTracker::new(3, None).unwrap();
            thread::scope(|scope| {
                for conn in 0..3 {
                    let (handle, peer) = handle();
                    let tracked = connections.track(conn, handle.clone(), None);
                    let (mut server_rng, mut rng) = (rng.split(), rng.split());
                    scope.spawn(move || echo(&handle, &tracked.activity, &mut server_rng));
                    scope.spawn(move || run_client(peer, &mut rng));
                }
                rng.random_pause();
                let drained = connections.drain(Some(Instant::now() + TIMEOUT));
                assert_eq!(drained, 0, "round {round}");
            });
        }
    }

    fn echo(handle: &ConnectionHandle, activity: &Activity, rng: &mut TestRng) {
        let mut socket = handle.socket();
        let mut buffer = [0; 16];
        activity.set_received();
        loop {
            let n = activity.while_waiting(|| std::io::Read::read(&mut socket, &mut buffer));
            rng.random_pause();
            match n {
                Ok(n) if n > 0 => socket.send(&buffer[..n]).map(drop).unwrap_or_default(),
                _ => break,
            }
        }
        let _ = socket.shutdown(std::net::Shutdown::Both);
    }

    /// Sends requests with pauses until there is no reply.
    fn run_client(mut stream: UnixStream, rng: &mut TestRng) {
        use std::io::{Read, Write};
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        for _ in 0..rng.in_range(20) {
            rng.random_pause();
            let mut reply = [0];
            if stream.write_all(b"x").is_err() || stream.read(&mut reply).is_ok_and(|n| n == 0) {
                return;
            }
        }
        // Sends no more, until the server closes.
        assert!(stream.read(&mut [0]).is_ok(), "closed in time");
    }
}
