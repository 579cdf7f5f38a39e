//! Child processes: a program is found when the server starts, runs once per connection, and does
//! not outlive sockit.
#![allow(unsafe_code)] // an action that runs in a signal handler

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::groups;
use super::groups::{die_with_this_process, lock};
use crate::error::{Failure, Phase};
use crate::shutdown::{earliest, poll_until};

/// Limit of the time between SIGTERM and SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(1);
/// Interval of checking a child where the kernel has no pidfd.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Changes to the inherited environment of a child; `None` removes a variable.
pub type Environment = Vec<(&'static str, Option<OsString>)>;

/// An executable program and its arguments.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    words: Vec<String>,
    /// No more children are started.
    closed: Arc<AtomicBool>,
}

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

impl Program {
    /// Finds the program of `words`, in `PATH` unless it has a slash.
    ///
    /// From then on children of this process inherit only the descriptors 0, 1 and 2, and a signal
    /// that ends this process kills their process groups first.
    ///
    /// Fails at [`Phase::File`] with code 26 when it does not exist or is not executable.
    pub fn find(words: Vec<String>) -> Result<Program, Failure> {
        super::inherited_fds::set_cloexec_on_inherited();
        let name = words.first().map(String::as_str).unwrap_or_default();
        let path = find(name).map_err(|e| Failure::new(Phase::File, name, e))?;
        // SAFETY: it reads atomics and calls kill(2).
        let prepared = unsafe { super::signals::before_sudden_end(groups::kill_all) };
        prepared.map_err(|e| Failure::new(Phase::Socket, "signals", e))?;
        Ok(Program { path, words, closed: Arc::default() })
    }

    /// The shell, which runs `command`.
    ///
    /// Fails as [`Program::find`] does, when there is no shell.
    pub fn shell(command: &str) -> Result<Program, Failure> {
        Program::find(vec!["/bin/sh".into(), "-c".into(), command.into()])
    }

    /// Starts it in a process group of its own, with pipes for its input and output and the inherited
    /// stderr. The thread that starts it must outlive it.
    ///
    /// Fails when there are no more processes or descriptors, the program no longer exists, or
    /// [`Program::kill_all`] was called.
    pub fn start(&self, environment: &Environment) -> io::Result<Child> {
        let mut command = Command::new(&self.path);
        command.args(&self.words[1..]).process_group(0);
        if let Some(name) = self.words.first() {
            command.arg0(name);
        }
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        die_with_this_process(&mut command);
        let guard = lock();
        if self.closed.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let slot = groups::free_slot()?;
        // The child may run for a while before spawn() returns.
        let mut process = super::signals::defer_sudden_end(|| {
            let process = command.spawn()?;
            slot.store(Pid::from_child(&process).as_raw_nonzero().get(), Ordering::SeqCst);
            io::Result::Ok(process)
        })?;
        let pid = Pid::from_child(&process);
        drop(guard);
        let (input, output) = (process.stdin.take(), process.stdout.take());
        Ok(Child { input, output, process, pid, pidfd: pidfd(pid), slot: Some(slot) })
    }

    /// Kills the process groups of all children, and starts no more.
    pub fn kill_all(&self) {
        let _guard = lock();
        self.closed.store(true, Ordering::SeqCst);
        groups::kill_all();
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words.first().map(String::as_str).unwrap_or_default())
    }
}

impl Child {
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

    /// Waits `grace` for its exit, then sends SIGTERM and finally SIGKILL to its process group; to what
    /// is `leftover` of the group also if the child itself has exited. Returns its exit status,
    /// 128 + N for signal N.
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

/// Returns the path of the program of this name (execvp(3)).
pub(super) fn find(name: impl AsRef<OsStr>) -> io::Result<PathBuf> {
    let name = name.as_ref();
    if name.as_bytes().contains(&b'/') {
        return check_executable(Path::new(name)).map(|()| name.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut refused = io::Error::from_raw_os_error(libc::ENOENT);
    for folder in std::env::split_paths(&path).filter(|_| !name.is_empty()) {
        let program = folder.join(name);
        match check_executable(&program) {
            Ok(()) => return Ok(program),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => refused = e,
        }
    }
    Err(refused)
}

fn check_executable(path: &Path) -> io::Result<()> {
    if path.metadata()?.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    Ok(access(path, Access::EXEC_OK)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;
    use std::io::Read;

    fn start(command: &str) -> Child {
        Program::shell(command).unwrap().start(&Environment::new()).unwrap()
    }

    #[test]
    fn program_is_found_or_fails() {
        assert!(Program::find(vec!["sh".into()]).is_ok());
        for name in ["", "no-such-program", "/", "/etc/passwd", "/no/such/program"] {
            let failure = Program::find(vec![name.into()]).unwrap_err();
            assert_eq!((failure.phase, failure.code), (Phase::File, ExitCode::Read), "{name}");
        }
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
        assert!(!groups::contains(pid));
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
