//! One cord for everything that ends a run early: ^C, SIGTERM, the whole-run limit.
//!
//! A [`Shutdown`] is a reason and a descriptor that becomes readable when somebody pulls, so a
//! wait for a socket and a wait for the end are one `poll(2)`. Signal handlers only store a
//! number and write a byte; everything else happens on ordinary threads.

#![allow(unsafe_code)] // how a signal was handled before us, and what a handler does

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level;

/// Why a run ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownReason {
    /// SIGINT: ^C on the terminal.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// The whole-run limit (`--timeout`) passed.
    Deadline,
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitOutcome {
    /// The descriptor is ready; the flags say for what (or that it hung up).
    Ready(PollFlags),
    /// The wait's own time passed.
    TimedOut,
    /// Somebody pulled the cord.
    Shutdown(ShutdownReason),
}

/// A cheap handle; all clones pull and see the same cord.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// 0, or the number of a [`ShutdownReason`]; an `Arc` of its own because handlers hold it.
    reason: Arc<AtomicUsize>,
    bell: OwnedFd,
    rope: OwnedFd,
    deadline: Option<Instant>,
}

/// How often a wait for which the kernel has no memory just now is begun again, and after what
/// pause: a second in all.
const MOST_SHORTAGES: u32 = 100;
const SHORTAGE: Duration = Duration::from_millis(10);
/// How often a bell that does not ring is rung.
const MOST_PULLS: usize = 8;

impl Shutdown {
    /// A cord nobody has pulled, which pulls itself at `deadline`.
    ///
    /// Fails when no pipe can be had (descriptors exhausted).
    pub fn new(deadline: Option<Instant>) -> io::Result<Shutdown> {
        let (bell, rope) = bell()?;
        let reason = Arc::new(AtomicUsize::new(0));
        Ok(Shutdown(Arc::new(Inner { reason, bell, rope, deadline })))
    }

    /// Lets SIGINT and SIGTERM pull this cord; a second signal ends the process immediately
    /// with 130 or 143. A signal that was ignored when we were started stays ignored, as `nohup`
    /// and a shell's `trap ''` expect.
    pub fn watch_signals(&self) -> io::Result<()> {
        let armed = Arc::new(AtomicBool::new(false));
        for (signal, reason, code) in
            [(SIGINT, ShutdownReason::Interrupt, 130), (SIGTERM, ShutdownReason::Terminate, 143)]
        {
            if is_ignored(signal) {
                continue;
            }
            // The order matters: actions run as registered, so the first signal finds
            // `armed` still false, and the bell rings only when the reason is stored.
            let second = armed.clone();
            let end = move || {
                if second.load(Ordering::SeqCst) {
                    clean_up();
                    low_level::exit(code);
                }
            };
            // SAFETY: the action loads atomics, calls what `before_sudden_end` was promised to be
            // async-signal-safe, and _exit(2).
            unsafe { low_level::register(signal, end) }?;
            signal_hook::flag::register(signal, armed.clone())?;
            signal_hook::flag::register_usize(signal, self.0.reason.clone(), number(reason))?;
            signal_hook::low_level::pipe::register(signal, self.0.rope.try_clone()?)?;
        }
        Ok(())
    }

    /// Pulls the cord; the first reason stays.
    pub fn trigger(&self, reason: ShutdownReason) {
        let first =
            self.0.reason.compare_exchange(0, number(reason), Ordering::SeqCst, Ordering::SeqCst);
        if first.is_ok() {
            ring(&self.0.rope);
        }
    }

    /// Why the run is to end, if it is.
    pub fn reason(&self) -> Option<ShutdownReason> {
        match self.0.reason.load(Ordering::SeqCst) {
            1 => Some(ShutdownReason::Interrupt),
            2 => Some(ShutdownReason::Terminate),
            3 => Some(ShutdownReason::Deadline),
            _ if self.0.deadline.is_some_and(|at| at <= Instant::now()) => {
                Some(ShutdownReason::Deadline)
            }
            _ => None,
        }
    }

    /// When the whole run must be over.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// Readable as soon as the cord is pulled (not when the deadline passes).
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.bell.as_fd()
    }

    /// Waits until `fd` is ready for `what`, `until` passes or the cord is pulled.
    pub fn wait<'a>(
        &'a self,
        fd: BorrowedFd<'a>,
        what: PollFlags,
        until: Option<Instant>,
    ) -> io::Result<WaitOutcome> {
        let mut fds = [PollFd::from_borrowed_fd(fd, what)];
        Ok(match self.wait_any(&mut fds, until)? {
            WaitOutcome::Ready(_) => WaitOutcome::Ready(fds[0].revents()),
            other => other,
        })
    }

    /// As [`Shutdown::wait`], for several descriptors; their `revents` are set.
    pub fn wait_any<'a>(
        &'a self,
        fds: &mut [PollFd<'a>],
        until: Option<Instant>,
    ) -> io::Result<WaitOutcome> {
        let bell = self.fd();
        let mut all = Vec::with_capacity(fds.len() + 1);
        all.push(PollFd::from_borrowed_fd(bell, PollFlags::IN));
        all.extend(fds.iter().cloned());
        loop {
            if let Some(reason) = self.reason() {
                return Ok(WaitOutcome::Shutdown(reason));
            }
            poll_until(&mut all, earliest(until, self.0.deadline))?;
            let ready = all[1..].iter().fold(PollFlags::empty(), |sum, fd| sum | fd.revents());
            if !ready.is_empty() {
                fds.clone_from_slice(&all[1..]);
                return Ok(WaitOutcome::Ready(ready));
            }
            if until.is_some_and(|at| at <= Instant::now()) && self.reason().is_none() {
                return Ok(WaitOutcome::TimedOut);
            }
        }
    }

    /// Sleeps for `time` unless the cord is pulled first.
    pub fn sleep(&self, time: Duration) -> Result<(), ShutdownReason> {
        let until = Instant::now().checked_add(time);
        match self.wait_any(&mut [], until) {
            Ok(WaitOutcome::Shutdown(reason)) => Err(reason),
            _ => Ok(()),
        }
    }
}

/// What is done in a signal handler before the signal ends the process.
static CLEANUP: OnceLock<fn()> = OnceLock::new();

/// Has a signal that ends this process do `cleanup` first, also SIGHUP and SIGQUIT, whose default
/// that is. The first caller's stays.
///
/// # Safety
/// `cleanup` must be async-signal-safe (signal-safety(7)).
///
/// Fails when a handler cannot be installed.
pub unsafe fn before_sudden_end(cleanup: fn()) -> io::Result<()> {
    if CLEANUP.set(cleanup).is_err() {
        return Ok(());
    }
    for signal in [SIGHUP, SIGQUIT].into_iter().filter(|signal| !is_ignored(*signal)) {
        let end = move || {
            clean_up();
            let _ = low_level::emulate_default_handler(signal);
        };
        // SAFETY: as in `watch_signals`; the default handler's stand-in may be called there.
        unsafe { low_level::register(signal, end) }?;
    }
    Ok(())
}

fn clean_up() {
    if let Some(cleanup) = CLEANUP.get() {
        cleanup();
    }
}

/// Whether the signal is ignored. Only SIGPIPE is ignored by sockit itself: any other was ignored
/// when it started.
pub fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action sigaction(2) only writes the present one, if it succeeds.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

fn number(reason: ShutdownReason) -> usize {
    match reason {
        ShutdownReason::Interrupt => 1,
        ShutdownReason::Terminate => 2,
        ShutdownReason::Deadline => 3,
    }
}

/// The earlier of two optional moments.
pub fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// `poll(2)` until something is ready or the moment passes; a signal only starts it again, and so
/// does a kernel that lacks memory for a moment: nothing that is waited for is lost meanwhile.
pub fn poll_until(fds: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<usize> {
    let mut shortages = 0;
    loop {
        let left = until.map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec {
            tv_sec: left.as_secs().min(i32::MAX as u64) as i64,
            tv_nsec: left.subsec_nanos() as _,
        });
        match poll(fds, left.as_ref()) {
            Err(rustix::io::Errno::INTR) if until.is_some_and(|at| at <= Instant::now()) => {
                return Ok(0);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::NOMEM) if shortages < MOST_SHORTAGES => {
                shortages += 1;
                std::thread::sleep(SHORTAGE);
            }
            done => return Ok(done?),
        }
    }
}

/// A pipe used as a bell: its read end becomes readable when the other is rung.
pub fn bell() -> io::Result<(OwnedFd, OwnedFd)> {
    let (bell, rope) = io::pipe()?;
    rustix::io::ioctl_fionbio(&bell, true)?;
    rustix::io::ioctl_fionbio(&rope, true)?;
    Ok((bell.into(), rope.into()))
}

/// Rings a bell. A write that fails is tried again a few times: the bell may be full, and then it
/// rings already, but whoever waits for it has nothing else to wake up by.
pub fn ring(rope: impl AsFd) {
    for _ in 0..MOST_PULLS {
        if rustix::io::write(&rope, b"!").is_ok() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulled_cord_wakes_every_wait_and_keeps_its_first_reason() {
        let stop = Shutdown::new(None).unwrap();
        let waiter = std::thread::spawn({
            let stop = stop.clone();
            move || stop.sleep(Duration::from_secs(20))
        });
        stop.trigger(ShutdownReason::Terminate);
        stop.trigger(ShutdownReason::Interrupt);
        assert_eq!(waiter.join().unwrap(), Err(ShutdownReason::Terminate));
        assert_eq!(stop.reason(), Some(ShutdownReason::Terminate));
    }

    /// A pull at any moment of a wait, and before it: all waiters wake, and none twice for nothing.
    #[test]
    fn no_pull_is_lost_whenever_it_comes() {
        for round in 0..300u64 {
            let stop = Shutdown::new(None).unwrap();
            std::thread::scope(|scope| {
                let waiters: Vec<_> =
                    (0..4).map(|_| scope.spawn(|| stop.sleep(Duration::from_secs(20)))).collect();
                std::thread::sleep(Duration::from_micros(round % 37 * 5));
                stop.trigger(ShutdownReason::Interrupt);
                for waiter in waiters {
                    assert_eq!(
                        waiter.join().unwrap(),
                        Err(ShutdownReason::Interrupt),
                        "round {round}"
                    );
                }
            });
        }
    }

    #[test]
    fn the_deadline_pulls_by_itself() {
        let soon = Instant::now() + Duration::from_millis(20);
        let stop = Shutdown::new(Some(soon)).unwrap();
        assert_eq!(stop.sleep(Duration::from_secs(20)), Err(ShutdownReason::Deadline));
    }

    #[test]
    fn a_short_sleep_ends_by_itself() {
        let stop = Shutdown::new(None).unwrap();
        assert_eq!(stop.sleep(Duration::from_millis(5)), Ok(()));
    }
}
