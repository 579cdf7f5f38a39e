//! The process groups of running children: killed when this process ends, however it ends, as far
//! as the kernel lets us. After SIGKILL that is each child itself, but not what it has started.
#![allow(unsafe_code)] // what a child does before exec(2), and the number of an orphan

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// Children that can run concurrently.
const MOST: usize = 32 << 10;
/// How often process 1 looks for orphans, at first and where a child of its own is in the way.
const ORPHANS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(1));

/// The process groups of the children that have not been reaped, 0 in free places. Each child leads
/// a group of its own, whose number no other group gets before it is reaped. Without a lock,
/// because signal handlers read it.
static GROUPS: [AtomicI32; MOST] = [const { AtomicI32::new(0) }; MOST];
/// Held while a child is started or reaped.
static TURN: Mutex<()> = Mutex::new(());

/// Until it is dropped no child is started or reaped by another thread.
pub(super) fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills the process groups of all children. Async-signal-safe.
pub(super) fn kill_all() {
    for group in GROUPS.iter().filter_map(|place| Pid::from_raw(place.load(Ordering::SeqCst))) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// A place for the number of a child's group.
///
/// Fails when there are too many children (EAGAIN).
pub(super) fn free_place() -> io::Result<&'static AtomicI32> {
    let free = |place: &&AtomicI32| place.load(Ordering::SeqCst) == 0;
    GROUPS.iter().find(free).ok_or_else(|| io::Error::from_raw_os_error(libc::EAGAIN))
}

/// Whether the child leads one of the groups.
pub(super) fn contains(child: Pid) -> bool {
    let number = child.as_raw_nonzero().get();
    GROUPS.iter().any(|place| place.load(Ordering::SeqCst) == number)
}

/// Has the kernel kill the child when this process ends, even by SIGKILL: to be exact, when the
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

/// There is no such thing on this system.
#[cfg(not(target_os = "linux"))]
pub fn die_with_this_process(_: &mut Command) {}

/// As process 1, for example in a container, this process becomes the parent of every orphan: a
/// thread reaps them from now on. Any other process has nothing to do here.
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

/// Reaps an orphan that has ended, if there is one; returns how long to wait for the next.
fn reap_orphan() -> Duration {
    let _turn = turn();
    let Some(pid) = ended_child() else { return ORPHANS.0 };
    if contains(pid) {
        return ORPHANS.1;
    }
    let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    Duration::ZERO
}

/// A child of this process that has ended and was not reaped; it stays so.
fn ended_child() -> Option<Pid> {
    // SAFETY: zero is a value of every field; waitid(2) fills the structure, and leaves the number
    // of the process 0 when none has ended.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let look = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        match libc::waitid(libc::P_ALL, 0, &mut info, look) {
            0 => Pid::from_raw(info.si_pid()),
            _ => None,
        }
    }
}
