//! A child process of the tour, and its output.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::child_groups::kill_on_parent_exit;
use crate::shutdown::{Shutdown, WaitOutcome};

/// The time limit of a step.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(20);

/// The maximum size in bytes of the output that is kept of each pipe.
const MAX_OUTPUT: usize = 1 << 20;

/// What a process printed, and how it ended.
pub struct StepResult {
    /// The output of both pipes.
    pub output: String,
    /// Whether it has ended.
    pub end: ProcessEnd,
}

/// Whether a process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessEnd {
    /// It still runs.
    Running,
    /// It exited with this code.
    Exited(i32),
    /// It did not exit before its deadline, or was killed by a signal.
    NotExited,
}

/// A running process; killed when dropped.
pub struct DemoProcess {
    child: Child,
    stdout: OutputPipe<ChildStdout>,
    stderr: OutputPipe<ChildStderr>,
    /// Output of both pipes since the last call of `output`.
    output: Vec<u8>,
    deadline: Instant,
}

/// Environment variables that would change the output of the tour.
const REMOVED_VARIABLES: &str = "\
    ALL_PROXY all_proxy HTTPS_PROXY https_proxy HTTP_PROXY http_proxy \
    CLICOLOR_FORCE SOCKIT_LOG RUST_LOG LISTEN_FDS \
    LISTEN_PID LISTEN_FDNAMES NOTIFY_SOCKET LISTEN_PIDFDID";

impl DemoProcess {
    /// Starts this program with the arguments `args` and `input` on its stdin.
    ///
    /// Fails if no process can be created.
    pub fn start(
        args: &[String],
        input: Option<&str>,
        deadline: Instant,
    ) -> io::Result<DemoProcess> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args).env("NO_COLOR", "1");
        for name in REMOVED_VARIABLES.split(' ') {
            command.env_remove(name);
        }
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        kill_on_parent_exit(&mut command);
        let mut child = command.spawn()?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
            // The input fits the pipe; a process that does not read it fails the step.
            let _ = pipe.write_all(input.as_bytes());
        }
        let stdout = OutputPipe { source: child.stdout.take(), received: Vec::new() };
        let stderr = OutputPipe { source: child.stderr.take(), received: Vec::new() };
        Ok(DemoProcess { child, stdout, stderr, output: Vec::new(), deadline })
    }

    /// Waits for a complete line of stdout or stderr that contains `text`; `None` at the end of the
    /// output and at the deadline.
    pub fn wait_for_line(&mut self, text: &str, stop: &Shutdown) -> Option<String> {
        loop {
            let pipes = [&self.stdout.received, &self.stderr.received];
            let found = pipes.into_iter().find_map(|received| {
                let end = received.iter().rposition(|b| *b == b'\n').unwrap_or(0);
                let lines = String::from_utf8_lossy(&received[..end]);
                lines.lines().find(|line| line.contains(text)).map(str::to_string)
            });
            if found.is_some() {
                return found;
            }
            if self.has_ended() || !self.read_output(stop) {
                return None;
            }
        }
    }

    /// Reads the output to its end, and waits for the exit of the process.
    pub fn finish(&mut self, stop: &Shutdown) -> StepResult {
        while !self.has_ended() && self.read_output(stop) {}
        let exit = if self.has_ended() { self.child.wait().ok() } else { None };
        let code = exit.and_then(|status| status.code());
        let end = code.map_or(ProcessEnd::NotExited, ProcessEnd::Exited);
        StepResult { output: self.output(), end }
    }

    /// Sets another deadline.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
    }

    /// Returns the output since the last call, of both pipes in the order in which it was read.
    pub fn output(&mut self) -> String {
        self.stdout.received.clear();
        self.stderr.received.clear();
        String::from_utf8_lossy(&std::mem::take(&mut self.output)).into_owned()
    }

    fn has_ended(&self) -> bool {
        self.stdout.source.is_none() && self.stderr.source.is_none()
    }

    /// Waits for output of either pipe and reads it; returns false at the deadline and when the tour
    /// is stopped.
    fn read_output(&mut self, stop: &Shutdown) -> bool {
        let (err, out) = (self.stderr.poll_fd(), self.stdout.poll_fd());
        let (has_err, has_out) = (err.is_some(), out.is_some());
        let mut fds: Vec<PollFd<'_>> = err.into_iter().chain(out).collect();
        let outcome = stop.wait_any(&mut fds, Some(self.deadline));
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let err_ready = has_err && ready.next() == Some(true);
        let out_ready = has_out && ready.next() == Some(true);
        // Log lines come before the data that they are about.
        if err_ready {
            self.stderr.read_some(&mut self.output);
        }
        if out_ready {
            self.stdout.read_some(&mut self.output);
        }
        matches!(outcome, Ok(WaitOutcome::Ready(_)))
    }
}

impl Drop for DemoProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The read end of a pipe until its end of stream, and what was read since the last call of `output`.
struct OutputPipe<S> {
    source: Option<S>,
    received: Vec<u8>,
}

impl<S: Read + AsFd> OutputPipe<S> {
    fn poll_fd(&self) -> Option<PollFd<'_>> {
        self.source.as_ref().map(|source| PollFd::new(source, PollFlags::IN))
    }

    /// Reads once, and appends to `all` too.
    fn read_some(&mut self, all: &mut Vec<u8>) {
        let mut buffer = [0; 4096];
        let read = self.source.as_mut().map(|source| source.read(&mut buffer));
        match read {
            Some(Ok(n)) if n > 0 => {
                let len = MAX_OUTPUT.saturating_sub(self.received.len()).min(n);
                if !all.is_empty() && !all.ends_with(b"\n") && self.received.is_empty() {
                    all.push(b'\n');
                }
                self.received.extend_from_slice(&buffer[..len]);
                all.extend_from_slice(&buffer[..len]);
            }
            Some(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
            _ => self.source = None,
        }
    }
}
