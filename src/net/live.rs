//! The connections that live just now: counted, so that callers can be made to wait, and known,
//! so that a server that is asked to end can see each of them out properly.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::stream::Hangup;
use crate::stop::{Stop, bell, ring};

/// How often a drain looks whether a connection has become idle.
const LOOK: Duration = Duration::from_millis(10);
/// How long connections that were reset have to tell their end; a thread that waits for something
/// else than its peer is not waited for any longer.
const FAREWELL: Duration = Duration::from_millis(300);

/// All live connections of a server.
#[derive(Debug, Clone)]
pub struct Live(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    entries: Mutex<HashMap<u64, Entry>>,
    bell: OwnedFd,
    rope: OwnedFd,
    /// Whether anybody waits for a connection to end: else its end costs no system call.
    awaited: AtomicBool,
}

#[derive(Debug)]
struct Entry {
    hangup: Hangup,
    mood: Mood,
    dismissed: bool,
}

/// Whether a connection waits for its peer with nothing owed. Shared by the thread that serves it
/// and the drain that would like to end it.
#[derive(Debug, Clone, Default)]
pub struct Mood(Arc<AtomicBool>);

impl Mood {
    /// Runs a read that may block: while it does, nothing is owed to the peer.
    pub fn while_waiting<T>(&self, read: impl FnOnce() -> T) -> T {
        self.0.store(true, Ordering::SeqCst);
        let done = read();
        self.0.store(false, Ordering::SeqCst);
        done
    }

    fn is_waiting(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A live connection's entry; dropping it takes the connection off the list.
#[derive(Debug)]
pub struct Entered {
    live: Live,
    conn: u64,
    /// What the thread that serves the connection tells about itself.
    pub mood: Mood,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.live.lock().remove(&self.conn);
        if self.live.0.awaited.load(Ordering::SeqCst) {
            ring(&self.live.0.rope);
        }
    }
}

/// What a drain had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every connection came to its own end.
    Completely,
    /// So many had to be reset.
    Cut(usize),
}

impl Live {
    /// An empty list. Fails when no pipe can be had.
    pub fn new() -> std::io::Result<Live> {
        let (bell, rope) = bell()?;
        let (entries, awaited) = (Mutex::default(), AtomicBool::new(false));
        Ok(Live(Arc::new(Shared { entries, bell, rope, awaited })))
    }

    /// Puts connection `conn` on the list.
    pub fn enter(&self, conn: u64, hangup: Hangup) -> Entered {
        let mood = Mood::default();
        let entry = Entry { hangup, mood: mood.clone(), dismissed: false };
        self.lock().insert(conn, entry);
        Entered { live: self.clone(), conn, mood }
    }

    /// How many live.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Readable when a connection has ended since [`Live::hush`].
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.0.bell.as_fd()
    }

    /// Silences the bell, which rings from now on. Look at [`Live::count`] afterwards, not before.
    pub fn hush(&self) {
        self.0.awaited.store(true, Ordering::SeqCst);
        let mut bytes = [0; 256];
        while rustix::io::read(&self.0.bell, &mut bytes).is_ok_and(|n| n == bytes.len()) {}
    }

    /// Sees every connection out: idle ones are told at once that no more is heard, busy ones as
    /// soon as they have answered, and what is left after `grace` is reset.
    ///
    /// `urgent` gives up the rest of the grace when it says so.
    pub fn drain(&self, grace: Duration, urgent: &dyn Fn() -> bool) -> Drained {
        let until = Instant::now().checked_add(grace);
        while self.count() > 0 {
            if urgent() || until.is_some_and(|at| at <= Instant::now()) {
                return self.cut();
            }
            self.dismiss_idle();
            self.wait_for_an_end(Instant::now() + LOOK);
        }
        Drained::Completely
    }

    /// Waits until a connection has ended, `until` at the latest; not at all if none lives.
    fn wait_for_an_end(&self, until: Instant) {
        self.hush();
        if self.count() > 0 {
            let mut fds = [PollFd::from_borrowed_fd(self.bell(), PollFlags::IN)];
            let _ = crate::stop::poll_until(&mut fds, Some(until));
        }
    }

    /// Waits until the last connection has ended by itself, or the cord is pulled.
    pub fn wait_until_empty(&self, stop: &Stop) -> Result<(), crate::stop::Reason> {
        loop {
            self.hush();
            if self.count() == 0 {
                return Ok(());
            }
            let woken = stop.wait(self.bell(), PollFlags::IN, None);
            if let Ok(crate::stop::Wake::Stopped(reason)) = woken {
                return Err(reason);
            }
        }
    }

    fn dismiss_idle(&self) {
        for entry in self.lock().values_mut() {
            if !entry.dismissed && entry.mood.is_waiting() && entry.hangup.is_settled() {
                entry.hangup.stop_reading();
                entry.dismissed = true;
            }
        }
    }

    fn cut(&self) -> Drained {
        let cut = self.reset_all();
        let until = Instant::now() + FAREWELL;
        while self.count() > 0 && Instant::now() < until {
            self.wait_for_an_end(until);
        }
        match cut {
            0 => Drained::Completely,
            n => Drained::Cut(n),
        }
    }

    fn reset_all(&self) -> usize {
        let entries = self.lock();
        entries.values().for_each(|entry| entry.hangup.reset());
        entries.len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
