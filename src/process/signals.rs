//! Signals that end the process.
#![allow(unsafe_code)] // sigaction(2) as a query, and actions that run in a signal handler

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level;

use crate::shutdown::{Shutdown, ShutdownReason};

/// What runs in a signal handler before a signal ends the process.
static CLEANUP: OnceLock<fn()> = OnceLock::new();

/// Lets SIGINT and SIGTERM trigger `shutdown`; a second signal ends the process immediately with
/// 130 or 143. A signal that was ignored when the process started stays ignored, as `nohup` and a
/// shell's `trap ''` expect.
///
/// Fails when a handler cannot be installed.
pub fn trigger_on_signals(shutdown: &Shutdown) -> io::Result<()> {
    let is_second = Arc::new(AtomicBool::new(false));
    for (signal, reason, code) in
        [(SIGINT, ShutdownReason::Interrupt, 130), (SIGTERM, ShutdownReason::Terminate, 143)]
    {
        if is_ignored(signal) {
            continue;
        }
        let (shutdown, is_second) = (shutdown.clone(), is_second.clone());
        let action = move || {
            if is_second.swap(true, Ordering::SeqCst) {
                clean_up();
                low_level::exit(code);
            }
            shutdown.trigger(reason);
        };
        // SAFETY: the action uses atomics, write(2), _exit(2) and what `before_sudden_end` was
        // promised to be async-signal-safe; signal-hook preserves errno.
        unsafe { low_level::register(signal, action) }?;
    }
    Ok(())
}

/// Runs `cleanup` before a signal ends this process, also before SIGHUP and SIGQUIT, which end it
/// by default. Only the first call has an effect.
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
        let action = move || {
            clean_up();
            let _ = low_level::emulate_default_handler(signal);
        };
        // SAFETY: as in `trigger_on_signals`; emulate_default_handler is async-signal-safe.
        unsafe { low_level::register(signal, action) }?;
    }
    Ok(())
}

fn clean_up() {
    if let Some(cleanup) = CLEANUP.get() {
        cleanup();
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
