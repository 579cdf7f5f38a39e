//! Programs: found when sockit starts, and run once per connection or in place of this process.
#![allow(unsafe_code)] // an action in a signal handler; close_range(2), which no crate calls with its flag

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Access, access};
use rustix::process::Pid;

use super::child::Child;
use super::child_groups::{self, kill_on_parent_exit, lock};
use crate::error::{Failure, Phase};

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

impl Program {
    /// Finds the program of `words`, in `PATH` unless it has a slash.
    ///
    /// Fails at [`Phase::File`] with code 26 when it does not exist or is not executable.
    pub fn find(words: Vec<String>) -> Result<Program, Failure> {
        let name = words.first().map(String::as_str).unwrap_or_default();
        let path = find(name).map_err(|e| Failure::new(Phase::File, name, e))?;
        Ok(Program { path, words, closed: Arc::default() })
    }

    /// The shell, which runs `command`.
    ///
    /// Fails as [`Program::find`] does, when there is no shell.
    pub fn shell(command: &str) -> Result<Program, Failure> {
        Program::find(vec!["/bin/sh".into(), "-c".into(), command.into()])
    }

    /// Starts it in a process group of its own, with pipes for its input and output and the inherited
    /// stderr. The thread that starts it must outlive it. [`prepare_children`] comes before the first.
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
        kill_on_parent_exit(&mut command);
        let guard = lock();
        if self.closed.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let slot = child_groups::free_slot()?;
        // The child may run for a while before spawn() returns.
        let process = super::signals::defer_termination(|| {
            let process = command.spawn()?;
            slot.store(Pid::from_child(&process).as_raw_nonzero().get(), Ordering::SeqCst);
            io::Result::Ok(process)
        })?;
        drop(guard);
        Ok(Child::new(process, slot))
    }

    /// Kills the process groups of all children, and starts no more.
    pub fn kill_all(&self) {
        let _guard = lock();
        self.closed.store(true, Ordering::SeqCst);
        child_groups::kill_all();
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words.first().map(String::as_str).unwrap_or_default())
    }
}

/// A program that is to replace this process, found before.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    words: Vec<OsString>,
}

impl Replacement {
    /// Finds the program of `words`, in `PATH` unless it has a slash.
    ///
    /// Fails at [`Phase::File`] with code 26 when it does not exist or is not executable.
    pub fn find(words: Vec<OsString>) -> Result<Replacement, Failure> {
        let name = words.first().cloned().unwrap_or_default();
        let path = find(&name).map_err(|e| Failure::new(Phase::File, name.display(), e))?;
        Ok(Replacement { path, words })
    }

    /// Replaces this process; its descriptors and environment stay. Returns only if that fails, at
    /// [`Phase::File`] with code 26.
    pub fn exec(&self) -> Failure {
        let mut command = Command::new(&self.path);
        if let Some((name, arguments)) = self.words.split_first() {
            command.arg0(name).args(arguments);
        }
        Failure::new(Phase::File, self.path.display(), command.exec())
    }
}

/// Prepares this process for children: they inherit only the descriptors 0, 1 and 2, and a signal that
/// ends this process kills their process groups first. Their exit statuses are kept for wait(2).
///
/// Fails at [`Phase::Socket`] when a signal handler cannot be installed.
pub fn prepare_children() -> Result<(), Failure> {
    set_cloexec_on_inherited();
    super::signals::keep_exit_statuses();
    // SAFETY: it reads atomics and calls kill(2).
    let installed = unsafe { super::signals::run_before_termination(child_groups::kill_all) };
    installed.map_err(|e| Failure::new(Phase::Socket, "signals", e))
}

/// Keeps every descriptor but 0, 1 and 2 from child processes. Those of sockit are closed on exec
/// anyway, but the parent process may have left others open.
fn set_cloexec_on_inherited() {
    #[cfg(target_os = "linux")]
    // SAFETY: close_range(2) with CLOEXEC changes a flag of descriptors, and closes none; a kernel
    // without it changes nothing.
    unsafe {
        libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int);
    }
}

/// Returns the path of the program of this name (execvp(3)).
fn find(name: impl AsRef<OsStr>) -> io::Result<PathBuf> {
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

    #[test]
    fn program_is_found_or_fails() {
        assert!(Program::find(vec!["sh".into()]).is_ok());
        for name in ["", "no-such-program", "/", "/etc/passwd", "/no/such/program"] {
            let failure = Program::find(vec![name.into()]).unwrap_err();
            assert_eq!((failure.phase, failure.code), (Phase::File, ExitCode::Read), "{name}");
        }
    }
}
