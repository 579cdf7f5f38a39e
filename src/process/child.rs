//! A running child process, which does not outlive sockit.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::child_groups::lock;
use crate::poll::{earliest, poll_until};

/// Limit of the time between SIGTERM and SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(1);
/// Interval of checking a child where the kernel has no pidfd.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// What happens to processes of a child's group that outlive it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftover {
    /// They continue.
    Keep,
    /// They are terminated.
    Kill,
}

/// A running child process.
#[derive(Debug)]
pub struct Child {
    /// Its standard input, until it is taken.
    pub input: Option<ChildStdin>,
    /// Its standard output, until it is taken.
    pub output: Option<ChildStdout>,
    process: process::Child,
    pid: Pid,
    pidfd: Option<OwnedFd>,
    /// The slot of its process group, until it is reaped.
    slot: Option<&'static AtomicI32>,
}

impl Child {
    /// A child that has just been started, and the slot of its process group.
    pub(super) fn new(mut process: process::Child, slot: &'static AtomicI32) -> Child {
        let pid = Pid::from_child(&process);
        let (input, output) = (process.stdin.take(), process.stdout.take());
        Child { input, output, process, pid, pidfd: pidfd(pid), slot: Some(slot) }
    }

    /// Waits until it has exited, `deadline` passes or one of `others` is ready (poll(2)); returns
    /// whether it has exited.
    pub fn wait<'a>(
        &'a self,
        others: &mut [PollFd<'a>],
        deadline: Option<Instant>,
    ) -> io::Result<bool> {
        if self.has_exited() {
            return Ok(true);
        }
        let deadline = match self.pidfd {
            Some(_) => deadline,
            None => earliest(deadline, Some(Instant::now() + POLL_INTERVAL)),
        };
        let mut fds: Vec<PollFd<'a>> = others.to_vec();
        fds.extend(self.pidfd.as_ref().map(|pidfd| PollFd::new(pidfd, PollFlags::IN)));
        poll_until(&mut fds, deadline)?;
        others.clone_from_slice(&fds[..others.len()]);
        Ok(self.has_exited())
    }

    /// Waits `grace` for its exit, then sends SIGTERM and finally SIGKILL to its process group. With
    /// [`Leftover::Kill`], what is left of the group gets both signals even if the child itself has
    /// exited. Returns its exit status, 128 + N for signal N.
    pub fn terminate(mut self, grace: Duration, leftover: Leftover) -> i32 {
        let has_exited = self.exits_by(Instant::now().checked_add(grace));
        if !has_exited || leftover == Leftover::Kill {
            self.signal(Signal::TERM);
            self.exits_by(Some(Instant::now() + grace.min(KILL_AFTER)));
            self.signal(Signal::KILL);
        }
        self.reap()
    }

    fn exits_by(&self, deadline: Option<Instant>) -> bool {
        while deadline.is_none_or(|at| Instant::now() < at) {
            if self.wait(&mut [], deadline).unwrap_or(true) {
                return true;
            }
        }
        self.has_exited()
    }

    /// Whether it has exited; it is not reaped, so that its process id stays reserved.
    fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.pid), options).is_ok_and(|status| status.is_some())
    }

    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.pid, signal);
    }

    fn reap(&mut self) -> i32 {
        let guard = lock();
        if let Some(slot) = self.slot.take() {
            slot.store(0, Ordering::SeqCst);
        }
        let status = self.process.wait();
        drop(guard);
        match status {
            Ok(status) => status.code().unwrap_or(128 + status.signal().unwrap_or(0)),
            // Not reached: SIGCHLD is not ignored (`signals::keep_exit_statuses`), and no other wait takes it.
            Err(_) => 0,
        }
    }
}

impl Drop for Child {
    /// Kills its process group if it was not terminated.
    fn drop(&mut self) {
        if self.slot.is_some() {
            self.signal(Signal::KILL);
            self.reap();
        }
    }
}

/// A descriptor that becomes readable when the process exits (pidfd_open(2)).
#[cfg(target_os = "linux")]
fn pidfd(pid: Pid) -> Option<OwnedFd> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn pidfd(_: Pid) -> Option<OwnedFd> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::child_groups;
    use crate::process::program::{Environment, Program};
    use std::io::Read;

    fn start(command: &str) -> Child {
        Program::shell(command).unwrap().start(&Environment::new()).unwrap()
    }

    #[test]
    fn child_has_environment_and_exit_status() {
        let program = Program::shell("echo $A-$HOME; exit 7").unwrap();
        let environment = vec![("A", Some("b".into())), ("HOME", None)];
        let mut child = program.start(&environment).unwrap();
        let pid = child.pid;
        let mut output = String::new();
        child.output.take().unwrap().read_to_string(&mut output).unwrap();
        assert_eq!(output, "b-\n");
        assert_eq!(child.terminate(Duration::from_secs(20), Leftover::Keep), 7);
        assert!(!child_groups::contains(pid));
    }

    #[test]
    fn child_that_ignores_sigterm_is_killed_with_its_group() {
        let began = Instant::now();
        let mut child = start("trap '' TERM; sleep 300 & sleep 300");
        let mut output = child.output.take().unwrap();
        let status = child.terminate(Duration::from_millis(50), Leftover::Keep);
        assert_eq!(status, 128 + libc::SIGKILL);
        // The end of its output shows that no process of its group is left.
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn dropped_child_is_reaped() {
        let child = start("sleep 300");
        let pid = child.pid;
        drop(child);
        assert_eq!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH));
    }
}
