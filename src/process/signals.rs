//! Signals: SIGINT and SIGTERM trigger the shutdown of the run; what is done before a signal ends the
//! process.
#![allow(unsafe_code)] // sigaction(2) as a query, and actions that run in a signal handler

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level;

use crate::shutdown::{Shutdown, ShutdownReason};

/// What runs in a signal handler before a signal ends the process.
static CLEANUP: OnceLock<fn()> = OnceLock::new();
/// A thread is in [`defer_termination`].
static IS_DEFERRED: AtomicBool = AtomicBool::new(false);
/// The signal that is to end the process, or 0.
static ENDING: AtomicI32 = AtomicI32::new(0);
/// Free descriptors in a row after which no open one is expected: the kernel assigns the lowest.
const MAX_GAP: u32 = 1024;

/// Lets SIGINT and SIGTERM trigger `shutdown`; a second signal resets all connections and ends the
/// process immediately with 130 or 143. A signal that was ignored when the process started stays
/// ignored, as `nohup` and a shell's `trap ''` expect.
///
/// Fails when a handler cannot be installed.
pub fn trigger_on_signals(shutdown: &Shutdown) -> io::Result<()> {
    let is_second = Arc::new(AtomicBool::new(false));
    for (signal, reason) in
        [(SIGINT, ShutdownReason::Interrupt), (SIGTERM, ShutdownReason::Terminate)]
    {
        if is_ignored(signal) {
            continue;
        }
        let (shutdown, is_second) = (shutdown.clone(), is_second.clone());
        let action = move || {
            if is_second.swap(true, Ordering::SeqCst) {
                terminate_unless_deferred(signal);
            }
            shutdown.trigger(reason);
        };
        // SAFETY: the action uses atomics, write(2), _exit(2), the calls of `reset_connections` and
        // what `run_before_termination` was promised to be async-signal-safe; signal-hook preserves
        // errno.
        unsafe { low_level::register(signal, action) }?;
    }
    Ok(())
}

/// Lets SIGHUP and SIGQUIT, which end the process by default, reset all connections before, as a second
/// SIGTERM does. Only the first call has an effect.
///
/// Fails when a handler cannot be installed.
pub fn reset_connections_on_sighup() -> io::Result<()> {
    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);
    if IS_INSTALLED.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    for signal in [SIGHUP, SIGQUIT].into_iter().filter(|signal| !is_ignored(*signal)) {
        // SAFETY: as in `trigger_on_signals`; emulate_default_handler is async-signal-safe.
        unsafe { low_level::register(signal, move || terminate_unless_deferred(signal)) }?;
    }
    Ok(())
}

/// Runs `cleanup` before a signal ends this process, also before SIGHUP and SIGQUIT, which end it
/// by default. Only the first call has an effect. Fails when a handler cannot be installed.
///
/// # Safety
/// `cleanup` must be async-signal-safe (signal-safety(7)).
pub unsafe fn run_before_termination(cleanup: fn()) -> io::Result<()> {
    let _ = CLEANUP.set(cleanup);
    reset_connections_on_sighup()
}

/// Runs `start`, and lets a signal that ends the process wait for it: what `start` begins is then
/// known to the cleanup. A further signal does not wait. One thread at a time may be in here.
pub(super) fn defer_termination<T>(start: impl FnOnce() -> T) -> T {
    IS_DEFERRED.store(true, Ordering::SeqCst);
    let started = start();
    IS_DEFERRED.store(false, Ordering::SeqCst);
    let signal = ENDING.load(Ordering::SeqCst);
    if signal != 0 {
        terminate(signal);
    }
    started
}

/// Ends the process in a signal handler, unless [`defer_termination`] is to do it.
fn terminate_unless_deferred(signal: i32) {
    let is_repeated = ENDING.swap(signal, Ordering::SeqCst) != 0;
    if is_repeated || !IS_DEFERRED.load(Ordering::SeqCst) {
        terminate(signal);
    }
}

/// Runs the cleanup and ends the process: SIGINT and SIGTERM by their exit codes, as they end it
/// the first time.
fn terminate(signal: i32) {
    if let Some(cleanup) = CLEANUP.get() {
        cleanup();
    }
    reset_connections();
    match signal {
        SIGINT | SIGTERM => low_level::exit(128 + signal),
        signal => drop(low_level::emulate_default_handler(signal)),
    }
}

/// Lets the end of the process reset its TCP connections (tcp(7), `SO_LINGER`): after an orderly close
/// a transfer that was interrupted would look complete. Standard streams belong to other processes
/// too, and the option of a listener to all its connections.
fn reset_connections() {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let mut gap = 0;
    for fd in libc::STDERR_FILENO + 1.. {
        // SAFETY: fcntl(2), getpeername(2) and setsockopt(2) are async-signal-safe, fail for
        // descriptors that are none of theirs, and get pointers to local values with their sizes.
        unsafe {
            gap = if libc::fcntl(fd, libc::F_GETFD) < 0 { gap + 1 } else { 0 };
            let mut peer = MaybeUninit::<libc::sockaddr_storage>::uninit();
            let mut length = size_of_val(&peer) as libc::socklen_t;
            if gap == 0 && libc::getpeername(fd, peer.as_mut_ptr().cast(), &mut length) == 0 {
                let (value, size) = (ptr::from_ref(&linger).cast(), size_of_val(&linger));
                libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, value, size as u32);
            }
        }
        if gap > MAX_GAP {
            return;
        }
    }
}

/// Lets children be waited for also where the parent process has ignored SIGCHLD, which discards how
/// they exit (wait(2)).
pub(super) fn keep_exit_statuses() {
    if is_ignored(libc::SIGCHLD) {
        // SAFETY: no handler of sockit is replaced.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    }
}

/// Whether the signal is ignored. Only SIGPIPE is ignored by sockit itself: any other was ignored
/// when the process started.
pub fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action sigaction(2) only writes the present one, if it succeeds.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
