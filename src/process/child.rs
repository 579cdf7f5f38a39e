//! A program of this machine as the far end: found when the server starts, started per
//! connection, and never left behind.
#![allow(unsafe_code)] // what a signal handler may do

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
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
use super::groups::{die_with_this_process, turn};
use crate::error::{Failure, Phase};
use crate::shutdown::{earliest, poll_until};

/// Between SIGTERM and SIGKILL at most.
const KILL_AFTER: Duration = Duration::from_secs(1);
/// How often a child is looked at where the kernel cannot ring a bell for it.
const LOOK: Duration = Duration::from_millis(10);

/// What a child's environment has beyond ours; `None` takes a variable away.
pub type Environment = Vec<(&'static str, Option<OsString>)>;

/// A program and its arguments, found and allowed to run.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    words: Vec<String>,
    /// No more of them are started.
    closed: Arc<AtomicBool>,
}

/// One running child.
#[derive(Debug)]
pub struct Child {
    /// Its standard input, until it is taken.
    pub input: Option<ChildStdin>,
    /// Its standard output, until it is taken.
    pub output: Option<ChildStdout>,
    process: process::Child,
    pid: Pid,
    bell: Option<OwnedFd>,
    /// Where its group's number is, until it is reaped.
    group: Option<&'static AtomicI32>,
}

impl Program {
    /// The program that `words` name, looked for in `PATH` unless it has a slash.
    ///
    /// From here on no descriptor but 0, 1 and 2 reaches any child of this process, and a signal
    /// that ends this process kills their process groups first.
    ///
    /// Fails at [`Stage::File`] with code 26 when it does not exist or may not be run.
    pub fn find(words: Vec<String>) -> Result<Program, Failure> {
        super::inherited_fds::set_cloexec_on_inherited();
        let name = words.first().map(String::as_str).unwrap_or_default();
        let path = find(name).map_err(|e| Failure::new(Phase::File, name, e))?;
        // SAFETY: it reads atomics and calls kill(2).
        let prepared = unsafe { super::signals::before_sudden_end(groups::kill_all) };
        prepared.map_err(|e| Failure::new(Phase::Socket, "signals", e))?;
        Ok(Program { path, words, closed: Arc::default() })
    }

    /// `command`, read by the shell.
    ///
    /// Fails as [`Program::find`] does, when there is no shell.
    pub fn shell(command: &str) -> Result<Program, Failure> {
        Program::find(vec!["/bin/sh".into(), "-c".into(), command.into()])
    }

    /// Starts it in a process group of its own, with pipes for its input and output, our stderr,
    /// and no other descriptor of ours. The thread that starts it must outlive it.
    ///
    /// Fails when there are no more processes or descriptors, the program has gone, or
    /// [`Program::end_all`] has been called.
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
        let turn = turn();
        if self.closed.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let place = groups::free_place()?;
        let mut process = command.spawn()?;
        let pid = Pid::from_child(&process);
        place.store(pid.as_raw_nonzero().get(), Ordering::SeqCst);
        drop(turn);
        let (input, output) = (process.stdin.take(), process.stdout.take());
        Ok(Child { input, output, process, pid, bell: pidfd(pid), group: Some(place) })
    }

    /// Kills all children that still run, with their process groups, and starts no more.
    pub fn kill_all(&self) {
        let _turn = turn();
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
    /// Waits until it has ended, a moment passes or `others` have something; true once it has
    /// ended. `others` are as for `poll(2)`.
    pub fn wait<'a>(
        &'a self,
        others: &mut [PollFd<'a>],
        until: Option<Instant>,
    ) -> io::Result<bool> {
        if self.has_ended() {
            return Ok(true);
        }
        let until = match self.bell {
            Some(_) => until,
            None => earliest(until, Some(Instant::now() + LOOK)),
        };
        let mut fds: Vec<PollFd<'a>> = others.to_vec();
        fds.extend(self.bell.as_ref().map(|bell| PollFd::new(bell, PollFlags::IN)));
        poll_until(&mut fds, until)?;
        others.clone_from_slice(&fds[..others.len()]);
        Ok(self.has_ended())
    }

    /// Sees it out: it has `grace` to end by itself, then it is asked to and at last made to, its
    /// process group with it. `others` says that descendants of it must end even if it has ended
    /// itself. Returns its exit status, 128 + N for signal N.
    pub fn terminate(mut self, grace: Duration, others: bool) -> i32 {
        let until = Instant::now().checked_add(grace);
        let left = !self.ends_by(until);
        if left || others {
            self.signal(Signal::TERM);
            self.ends_by(Some(Instant::now() + grace.min(KILL_AFTER)));
            self.signal(Signal::KILL);
        }
        self.reap()
    }

    fn ends_by(&self, until: Option<Instant>) -> bool {
        while until.is_none_or(|until| Instant::now() < until) {
            if self.wait(&mut [], until).unwrap_or(true) {
                return true;
            }
        }
        self.has_ended()
    }

    /// Whether it has ended; it stays to be reaped, so that its number stays its own.
    fn has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.pid), look).is_ok_and(|status| status.is_some())
    }

    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.pid, signal);
    }

    fn reap(&mut self) -> i32 {
        let turn = turn();
        if let Some(place) = self.group.take() {
            place.store(0, Ordering::SeqCst);
        }
        let status = self.process.wait();
        drop(turn);
        match status {
            Ok(status) => status.code().unwrap_or(128 + status.signal().unwrap_or(0)),
            Err(_) => 0,
        }
    }
}

impl Drop for Child {
    /// Whatever became of its connection, it does not stay.
    fn drop(&mut self) {
        if self.group.is_some() {
            self.signal(Signal::KILL);
            self.reap();
        }
    }
}

/// A descriptor that becomes readable when the process ends (pidfd_open(2)).
#[cfg(target_os = "linux")]
fn pidfd(pid: Pid) -> Option<OwnedFd> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn pidfd(_: Pid) -> Option<OwnedFd> {
    None
}

/// Where the program of this name lies (execvp(3)).
fn find(name: &str) -> io::Result<PathBuf> {
    if name.contains('/') {
        return may_run(Path::new(name)).map(|()| name.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut refused = io::Error::from_raw_os_error(libc::ENOENT);
    for folder in std::env::split_paths(&path).filter(|_| !name.is_empty()) {
        let program = folder.join(name);
        match may_run(&program) {
            Ok(()) => return Ok(program),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => refused = e,
        }
    }
    Err(refused)
}

fn may_run(path: &Path) -> io::Result<()> {
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
    fn programs_are_found_or_refused_at_once() {
        assert!(Program::find(vec!["sh".into()]).is_ok());
        for name in ["", "no-such-program", "/", "/etc/passwd", "/no/such/program"] {
            let failure = Program::find(vec![name.into()]).unwrap_err();
            assert_eq!((failure.stage, failure.code), (Phase::File, ExitCode::Read), "{name}");
        }
    }

    #[test]
    fn a_child_has_its_environment_and_ends_with_its_status() {
        let program = Program::shell("echo $A-$HOME; exit 7").unwrap();
        let environment = vec![("A", Some("b".into())), ("HOME", None)];
        let mut child = program.start(&environment).unwrap();
        let pid = child.pid;
        let mut said = String::new();
        child.output.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "b-\n");
        assert_eq!(child.terminate(Duration::from_secs(20), false), 7);
        assert!(!groups::contains(pid));
    }

    #[test]
    fn one_that_stays_is_ended_with_its_group() {
        let began = Instant::now();
        let mut child = start("trap '' TERM; sleep 300 & sleep 300");
        let mut output = child.output.take().unwrap();
        let status = child.terminate(Duration::from_millis(50), false);
        assert_eq!(status, 128 + libc::SIGKILL);
        // The end of its output shows that nobody of its group is left.
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn one_that_is_dropped_is_reaped() {
        let child = start("sleep 300");
        let pid = child.pid;
        drop(child);
        assert_eq!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH));
    }
}
