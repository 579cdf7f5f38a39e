//! Orphans of process 1, for example in a container: it is the parent of every orphan, and must reap
//! them.

use std::thread;
use std::time::Duration;

use nix::sys::wait::{Id, WaitPidFlag};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::child_groups::{contains, lock};

/// Interval of reaping orphans.
const ORPHAN_INTERVAL: Duration = Duration::from_secs(1);
/// The delay while a child of this process itself has exited, which its own thread reaps.
const OWN_CHILD_DELAY: Duration = Duration::from_millis(1);

/// Starts a thread that reaps orphans if this is process 1; does nothing in any other process.
pub fn start_reaper() {
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
