//! The process groups of running children, which are killed when this process ends. After SIGKILL
//! the kernel kills each child, but not its descendants.
#![allow(unsafe_code)] // code between fork(2) and exec(2)

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// Limit of concurrent children.
const MAX_CHILDREN: usize = 32 << 10;

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
pub fn kill_on_parent_exit(command: &mut Command) {
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
pub fn kill_on_parent_exit(_: &mut Command) {}
