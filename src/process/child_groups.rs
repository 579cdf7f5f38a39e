//! The process groups of running children, which are killed when this process ends. After SIGKILL
//! the kernel kills each child, but not its descendants.
#![allow(unsafe_code)] // code between fork(2) and exec(2)

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::wait::{Id, WaitPidFlag};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// Limit of concurrent children.
const MAX_CHILDREN: usize = 32 << 10;
/// Interval of process 1 for reaping orphans, and the delay while a child of its own has exited.
const ORPHAN_INTERVAL: Duration = Duration::from_secs(1);
const OWN_CHILD_DELAY: Duration = Duration::from_millis(1);

/// The process groups of the children that are not reaped, 0 in free slots. Each child leads a group
/// of its own, whose id is not reused before it is reaped. Without a lock, because signal handlers
/// read it.
static GROUPS: [AtomicI32; MAX_CHILDREN] = [const { AtomicI32::new(0) }; MAX_CHILDREN];
/// Held while a child is started or reaped.
static LOCK: Mutex<()> = Mutex::new(());

/// Prevents other threads from starting or reaping a child until it is dropped.
pub(super) fn lock() -> MutexGuard<'static, ()> {
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills the process groups of all children. Async-signal-safe.
pub(super) fn kill_all() {
    for group in GROUPS.iter().filter_map(|slot| Pid::from_raw(slot.load(Ordering::SeqCst))) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Returns a free slot for the process group of a child.
///
/// Fails when there are too many children (EAGAIN).
pub(super) fn free_slot() -> io::Result<&'static AtomicI32> {
    let free = |slot: &&AtomicI32| slot.load(Ordering::SeqCst) == 0;
    GROUPS.iter().find(free).ok_or_else(|| io::Error::from_raw_os_error(libc::EAGAIN))
}

/// Whether the child leads one of the groups.
pub(super) fn contains(child: Pid) -> bool {
    let number = child.as_raw_nonzero().get();
    GROUPS.iter().any(|slot| slot.load(Ordering::SeqCst) == number)
}

/// Makes the kernel kill the child when this process ends, even by SIGKILL; more precisely, when the
/// thread that starts it ends (prctl(2), `PR_SET_PDEATHSIG`).
#[cfg(target_os = "linux")]
pub fn die_with_this_process(command: &mut Command) {
    let parent = rustix::process::getpid();
    let prepare = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have ended before that.
        match rustix::process::getppid() {
            Some(still) if still == parent => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    };
    // SAFETY: two system calls; nothing is allocated and no lock taken.
    unsafe { command.pre_exec(prepare) };
}

/// Not available on this system.
#[cfg(not(target_os = "linux"))]
pub fn die_with_this_process(_: &mut Command) {}

/// Starts a thread that reaps orphans if this is process 1, for example in a container: it is the
/// parent of every orphan. Does nothing in any other process.
pub fn reap_orphans() {
    if rustix::process::getpid() != Pid::INIT {
        return;
    }
    let reaper = thread::Builder::new().name("orphans".into()).stack_size(64 << 10);
    let reap = || {
        loop {
            thread::sleep(reap_orphan());
        }
    };
    if let Err(e) = reaper.spawn(reap) {
        tracing::warn!(%e, "orphans are not reaped");
    }
}

/// Reaps an orphan that has exited, if there is one; returns the delay until the next call.
fn reap_orphan() -> Duration {
    let _guard = lock();
    let Some(pid) = exited_child() else { return ORPHAN_INTERVAL };
    if contains(pid) {
        return OWN_CHILD_DELAY;
    }
    let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    Duration::ZERO
}

/// Returns a child of this process that has exited, without reaping it.
fn exited_child() -> Option<Pid> {
    let options = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    Pid::from_raw(nix::sys::wait::waitid(Id::All, options).ok()?.pid()?.as_raw())
}
