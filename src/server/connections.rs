//! The connections that live just now: counted, so that callers can be made to wait, and known,
//! so that a server that is asked to end can see each of them out properly.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::net::activity::Activity;
use crate::net::stream::ConnectionHandle;
use crate::shutdown::{Shutdown, ShutdownReason, WaitOutcome, bell, poll_until, ring};

/// How often a drain looks whether a connection has become idle.
const LOOK: Duration = Duration::from_millis(10);
/// How long connections that were reset have to tell their end; a thread that waits for something
/// else than its peer is not waited for any longer.
const ABORT_GRACE: Duration = Duration::from_millis(300);

/// All live connections of a server.
#[derive(Debug, Clone)]
pub struct ConnectionTracker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    entries: Mutex<HashMap<u64, Entry>>,
    /// Connections of the whole run that count towards its limit.
    counted: AtomicU64,
    bell: OwnedFd,
    rope: OwnedFd,
    /// Whether anybody waits for a connection to end: else its end costs no system call.
    awaited: AtomicBool,
}

#[derive(Debug)]
struct Entry {
    hangup: ConnectionHandle,
    activity: Activity,
    dismissed: bool,
    counted: bool,
}

/// How many connections may be accepted.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    /// Connections that exist concurrently.
    pub concurrent: usize,
    /// Connections of the whole run.
    pub whole_run: Option<u32>,
}

/// Whether another connection may be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It may.
    Free,
    /// Not before one that exists has ended, or is known not to count.
    Taken,
    /// No more in this run.
    Spent,
}

/// A live connection's entry; dropping it takes the connection off the list.
#[derive(Debug)]
pub struct TrackedConnection {
    live: ConnectionTracker,
    conn: u64,
    /// What the thread that serves the connection tells about itself.
    pub activity: Activity,
}

impl TrackedConnection {
    /// The connection counts towards the limit of the whole run.
    pub fn count(&self) {
        self.live.count(self.conn);
        self.live.wake();
    }
}

impl Drop for TrackedConnection {
    fn drop(&mut self) {
        self.live.lock().remove(&self.conn);
        self.live.wake();
    }
}

/// What a drain had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainOutcome {
    /// Every connection came to its own end.
    Clean,
    /// So many had to be reset.
    Aborted(usize),
}

impl ConnectionTracker {
    /// An empty list. Fails when no pipe can be had.
    pub fn new() -> std::io::Result<ConnectionTracker> {
        let (bell, rope) = bell()?;
        let (counted, awaited) = (AtomicU64::new(0), AtomicBool::new(false));
        Ok(ConnectionTracker(Arc::new(Shared {
            entries: Mutex::default(),
            counted,
            bell,
            rope,
            awaited,
        })))
    }

    /// Puts connection `conn` on the list.
    pub fn enter(&self, conn: u64, hangup: ConnectionHandle) -> TrackedConnection {
        let activity = Activity::default();
        let entry = Entry { hangup, activity: activity.clone(), dismissed: false, counted: false };
        self.lock().insert(conn, entry);
        TrackedConnection { live: self.clone(), conn, activity }
    }

    /// Counts connection `conn` towards the limit of the whole run, though it may be over already.
    pub fn count(&self, conn: u64) {
        let mut entries = self.lock();
        self.0.counted.fetch_add(1, Ordering::SeqCst);
        if let Some(entry) = entries.get_mut(&conn) {
            entry.counted = true;
        }
    }

    /// Whether `quota` lets another connection in. One that may yet count keeps its place.
    pub fn room(&self, quota: &Quota) -> Room {
        let entries = self.lock();
        let left = quota.whole_run.map_or(u64::MAX, |most| {
            u64::from(most).saturating_sub(self.0.counted.load(Ordering::SeqCst))
        });
        let undecided = || entries.values().filter(|entry| !entry.counted).count() as u64;
        match left {
            0 => Room::Spent,
            _ if entries.len() >= quota.concurrent => Room::Taken,
            _ if quota.whole_run.is_some() && undecided() >= left => Room::Taken,
            _ => Room::Free,
        }
    }

    /// Wakes the thread that waits for a change, if there is one.
    fn wake(&self) {
        if self.0.awaited.load(Ordering::SeqCst) {
            ring(&self.0.rope);
        }
    }

    /// How many connections exist.
    fn len(&self) -> usize {
        self.lock().len()
    }

    /// Readable when a connection has ended since [`ConnectionTracker::hush`].
    fn bell(&self) -> BorrowedFd<'_> {
        self.0.bell.as_fd()
    }

    /// Silences the bell, which rings from now on. Look at [`ConnectionTracker::len`] afterwards, not before.
    fn clear_wakeups(&self) {
        self.0.awaited.store(true, Ordering::SeqCst);
        let mut bytes = [0; 256];
        while rustix::io::read(&self.0.bell, &mut bytes).is_ok_and(|n| n == bytes.len()) {}
    }

    /// Sees every connection out: idle ones are told at once that no more is heard, busy ones as
    /// soon as they have answered, and what is left after `grace` is reset.
    ///
    /// `urgent` gives up the rest of the grace when it says so.
    pub fn drain(&self, grace: Duration, urgent: &dyn Fn() -> bool) -> DrainOutcome {
        let until = Instant::now().checked_add(grace);
        while self.len() > 0 {
            if urgent() || until.is_some_and(|at| at <= Instant::now()) {
                return self.abort_remaining();
            }
            self.close_idle();
            self.wait_for_an_end(Instant::now() + LOOK);
        }
        DrainOutcome::Clean
    }

    /// Waits until a connection has ended, `until` at the latest; not at all if none lives.
    fn wait_for_an_end(&self, until: Instant) {
        self.clear_wakeups();
        if self.len() > 0 {
            let mut fds = [PollFd::from_borrowed_fd(self.bell(), PollFlags::IN)];
            let _ = poll_until(&mut fds, Some(until));
        }
    }

    /// Waits until the last connection has ended by itself, or the cord is pulled.
    pub fn wait_until_empty(&self, stop: &Shutdown) -> Result<(), ShutdownReason> {
        self.wait_while(stop, || self.len() > 0)
    }

    /// Waits while `quota` has no room, or until the cord is pulled.
    pub fn wait_for_room(&self, quota: &Quota, stop: &Shutdown) -> Result<(), ShutdownReason> {
        self.wait_while(stop, || self.room(quota) == Room::Taken)
    }

    /// Waits until `lasts` is false, which it is asked when a connection has ended or counted, or
    /// the cord is pulled.
    fn wait_while(&self, stop: &Shutdown, lasts: impl Fn() -> bool) -> Result<(), ShutdownReason> {
        // An end costs no system call unless a thread has been waiting for one.
        while lasts() {
            self.clear_wakeups();
            if !lasts() {
                break;
            }
            if let Ok(WaitOutcome::Shutdown(reason)) = stop.wait(self.bell(), PollFlags::IN, None) {
                return Err(reason);
            }
        }
        Ok(())
    }

    fn close_idle(&self) {
        for entry in self.lock().values_mut() {
            if !entry.dismissed && entry.activity.is_idle() && entry.hangup.is_quiescent() {
                entry.hangup.shutdown_read();
                entry.dismissed = true;
            }
        }
    }

    fn abort_remaining(&self) -> DrainOutcome {
        let cut = self.reset_all();
        let until = Instant::now() + ABORT_GRACE;
        while self.len() > 0 && Instant::now() < until {
            self.wait_for_an_end(until);
        }
        match cut {
            0 => DrainOutcome::Clean,
            n => DrainOutcome::Aborted(n),
        }
    }

    fn reset_all(&self) -> usize {
        let entries = self.lock();
        entries.values().for_each(|entry| entry.hangup.abort());
        entries.len()
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
    use std::sync::Arc;
    use std::thread;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn hangup() -> (ConnectionHandle, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (ConnectionHandle::new(Arc::new(ours.into())), theirs)
    }

    /// Connections end around the moment at which somebody begins to wait for that: a lost ring
    /// would leave the waiter waiting for its deadline.
    #[test]
    fn no_end_is_missed_whenever_the_waiting_begins() {
        let mut chance = TestRng::new();
        let stop = Shutdown::new(Some(Instant::now() + PATIENCE)).unwrap();
        for round in 0..400 {
            let live = ConnectionTracker::new().unwrap();
            let ends = [0, 1, 2].map(|conn| (live.enter(conn, hangup().0), chance.split()));
            thread::scope(|scope| {
                for (entered, mut chance) in ends {
                    scope.spawn(move || {
                        chance.random_pause();
                        drop(entered);
                    });
                }
                chance.random_pause();
                for most in [3, 1] {
                    let waited = live.wait_while(&stop, || live.len() >= most);
                    assert_eq!(waited, Ok(()), "round {round}");
                }
            });
        }
    }

    #[test]
    fn a_connection_that_may_yet_count_keeps_its_place() {
        let live = ConnectionTracker::new().unwrap();
        let quota = Quota { concurrent: 3, whole_run: Some(2) };
        assert_eq!(live.room(&quota), Room::Free);
        let (first, second) = (live.enter(1, hangup().0), live.enter(2, hangup().0));
        assert_eq!(live.room(&quota), Room::Taken);
        drop(first);
        assert_eq!(live.room(&quota), Room::Free);
        second.count();
        let third = live.enter(3, hangup().0);
        assert_eq!(live.room(&quota), Room::Taken);
        third.count();
        assert_eq!(live.room(&quota), Room::Spent);
        let endless = Quota { concurrent: 2, whole_run: None };
        assert_eq!(live.room(&endless), Room::Taken);
        drop(second);
        assert_eq!(live.room(&endless), Room::Free);
    }

    /// Peers talk, fall silent and leave while the drain looks: whoever waits with nothing owed is
    /// dismissed at once, nobody is cut, and what was read has been answered.
    #[test]
    fn a_drain_sees_everyone_out_whatever_they_are_doing() {
        let mut chance = TestRng::new();
        for round in 0..100 {
            let live = ConnectionTracker::new().unwrap();
            thread::scope(|scope| {
                for conn in 0..3 {
                    let (hangup, theirs) = hangup();
                    let entered = live.enter(conn, hangup.clone());
                    let (mut ours, mut chance) = (chance.split(), chance.split());
                    scope.spawn(move || echo(&hangup, &entered.activity, &mut ours));
                    scope.spawn(move || talk(theirs, &mut chance));
                }
                chance.random_pause();
                let drained = live.drain(PATIENCE, &|| false);
                assert_eq!(drained, DrainOutcome::Clean, "round {round}");
            });
        }
    }

    fn echo(hangup: &ConnectionHandle, activity: &Activity, chance: &mut TestRng) {
        let mut socket = hangup.socket();
        let mut buffer = [0; 16];
        activity.set_received();
        loop {
            let n = activity.while_waiting(|| std::io::Read::read(&mut socket, &mut buffer));
            chance.random_pause();
            match n {
                Ok(n) if n > 0 => socket.send(&buffer[..n]).map(drop).unwrap_or_default(),
                _ => break,
            }
        }
        let _ = socket.shutdown(std::net::Shutdown::Both);
    }

    /// Says something now and then until it is not answered any more.
    fn talk(mut stream: UnixStream, chance: &mut TestRng) {
        use std::io::{Read, Write};
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        for _ in 0..chance.in_range(20) {
            chance.random_pause();
            let mut answer = [0];
            if stream.write_all(b"x").is_err() || stream.read(&mut answer).is_ok_and(|n| n == 0) {
                return;
            }
        }
        // Silent from here on, until it is dismissed.
        assert!(stream.read(&mut [0]).is_ok(), "dismissed in time");
    }
}
