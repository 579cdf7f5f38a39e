//! A child process of the tour, and its output.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::groups::die_with_this_process;
use crate::shutdown::{Shutdown, WaitOutcome};

/// The maximum size in bytes of the output that is kept of each pipe.
const MAX_OUTPUT: usize = 1 << 20;

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
const REMOVED_VARIABLES: [&str; 14] = [
    "ALL_PROXY",
    "all_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "CLICOLOR_FORCE",
    "SOCKIT_LOG",
    "RUST_LOG",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "LISTEN_PIDFDID",
];

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
        for name in REMOVED_VARIABLES {
            command.env_remove(name);
        }
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        die_with_this_process(&mut command);
        let mut child = command.spawn()?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
            // The input fits the pipe; a process that does not read it fails the step.
            let _ = pipe.write_all(input.as_bytes());
        }
        let stdout = OutputPipe::new(child.stdout.take());
        let stderr = OutputPipe::new(child.stderr.take());
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

    /// Reads the output to its end and returns the exit code; `None` at the deadline, and for a
    /// process that was killed.
    pub fn wait(&mut self, stop: &Shutdown) -> Option<i32> {
        while !self.has_ended() {
            if !self.read_output(stop) {
                return None;
            }
        }
        self.child.wait().ok()?.code()
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
        self.stdout.ended && self.stderr.ended
    }

    /// Waits for output of either pipe and reads it; returns false at the deadline and when the tour
    /// is stopped.
    fn read_output(&mut self, stop: &Shutdown) -> bool {
        let (out, err) = (&self.stdout, &self.stderr);
        let pipes = [(out.fd(), out.ended), (err.fd(), err.ended)];
        let open = pipes.into_iter().filter(|(_, ended)| !ended).filter_map(|(fd, _)| fd);
        let mut fds: Vec<PollFd<'_>> =
            open.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let outcome = stop.wait_any(&mut fds, Some(self.deadline));
        let ready = |fd: Option<BorrowedFd<'_>>| {
            use std::os::fd::AsRawFd;
            let Some(fd) = fd else { return false };
            fds.iter().any(|p| p.as_fd().as_raw_fd() == fd.as_raw_fd() && !p.revents().is_empty())
        };
        let (out_ready, err_ready) = (ready(out.fd()), ready(err.fd()));
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

/// The read end of a pipe, and what was read since the last call of `output`.
struct OutputPipe<S> {
    source: Option<S>,
    received: Vec<u8>,
    ended: bool,
}

impl<S: Read + AsFd> OutputPipe<S> {
    fn new(source: Option<S>) -> OutputPipe<S> {
        OutputPipe { ended: source.is_none(), source, received: Vec::new() }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().map(AsFd::as_fd)
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
            _ => self.ended = true,
        }
    }
}
