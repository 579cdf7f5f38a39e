//! One run of this program, and all it says.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::groups::die_with_this_process;
use crate::shutdown::{Shutdown, WaitOutcome};

/// The most that is kept of what an actor says, in bytes.
const MOST: usize = 1 << 20;

/// A run under way; killed when dropped.
pub struct DemoProcess {
    child: Child,
    out: OutputPipe<ChildStdout>,
    err: OutputPipe<ChildStderr>,
    said: Vec<u8>,
    until: Instant,
}

/// Variables that would change what the tour shows.
const FOREIGN: [&str; 14] = [
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
    /// Starts this program with these words after its name and `input` on its stdin; it has until
    /// that moment.
    ///
    /// Fails when no process can be had.
    pub fn start(words: &[String], input: Option<&str>, until: Instant) -> io::Result<DemoProcess> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(words).env("NO_COLOR", "1");
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        die_with_this_process(&mut command);
        let mut child = command.spawn()?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
            // A few words fit the pipe; a run that does not want them is the step's to tell.
            let _ = pipe.write_all(input.as_bytes());
        }
        let (out, err) = (OutputPipe::of(child.stdout.take()), OutputPipe::of(child.stderr.take()));
        Ok(DemoProcess { child, out, err, said: Vec::new(), until })
    }

    /// Listens until stdout or stderr has a whole line with `word` in it and returns that line,
    /// or `None` when it ends or its time is over first.
    pub fn line_with(&mut self, word: &str, stop: &Shutdown) -> Option<String> {
        loop {
            let found = [&self.out.heard, &self.err.heard].into_iter().find_map(|heard| {
                let whole = &heard[..heard.iter().rposition(|b| *b == b'\n').unwrap_or(0)];
                let text = String::from_utf8_lossy(whole);
                text.lines().find(|line| line.contains(word)).map(str::to_string)
            });
            if found.is_some() {
                return found;
            }
            if (self.out.ended && self.err.ended) || !self.listen(stop) {
                return None;
            }
        }
    }

    /// Listens to the end; its exit code, or `None` when its time was over first.
    pub fn ends(&mut self, stop: &Shutdown) -> Option<i32> {
        while !(self.out.ended && self.err.ended) {
            if !self.listen(stop) {
                return None;
            }
        }
        self.child.wait().ok()?.code()
    }

    /// Gives it until another moment.
    pub fn has_until(&mut self, until: Instant) {
        self.until = until;
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
    }

    /// What was said since the last time, both voices in the order they were heard.
    pub fn output(&mut self) -> String {
        self.out.heard.clear();
        self.err.heard.clear();
        String::from_utf8_lossy(&std::mem::take(&mut self.said)).into_owned()
    }

    /// Waits for either voice and hears it; false when the time is over or the tour is to end.
    fn listen(&mut self, stop: &Shutdown) -> bool {
        let voices = [(self.out.fd(), self.out.ended), (self.err.fd(), self.err.ended)];
        let open = voices.into_iter().filter(|(_, ended)| !ended).filter_map(|(fd, _)| fd);
        let mut fds: Vec<PollFd<'_>> =
            open.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let woken = stop.wait_any(&mut fds, Some(self.until));
        let ready = |fd: Option<BorrowedFd<'_>>| {
            use std::os::fd::AsRawFd;
            let Some(fd) = fd else { return false };
            fds.iter().any(|p| p.as_fd().as_raw_fd() == fd.as_raw_fd() && !p.revents().is_empty())
        };
        let (out, err) = (ready(self.out.fd()), ready(self.err.fd()));
        // Talk comes before the data it is about.
        if err {
            self.err.read_output(&mut self.said);
        }
        if out {
            self.out.read_output(&mut self.said);
        }
        matches!(woken, Ok(WaitOutcome::Ready(_)))
    }
}

impl Drop for DemoProcess {
    /// No server outlives its chapter.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct OutputPipe<S> {
    source: Option<S>,
    heard: Vec<u8>,
    ended: bool,
}

impl<S: Read + AsFd> OutputPipe<S> {
    fn of(source: Option<S>) -> OutputPipe<S> {
        OutputPipe { ended: source.is_none(), source, heard: Vec::new() }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().map(AsFd::as_fd)
    }

    /// One read of what is there, which `all` gets too.
    fn read_output(&mut self, all: &mut Vec<u8>) {
        let mut buffer = [0; 4096];
        let read = self.source.as_mut().map(|source| source.read(&mut buffer));
        match read {
            Some(Ok(n)) if n > 0 => {
                let room = MOST.saturating_sub(self.heard.len()).min(n);
                if !all.is_empty() && !all.ends_with(b"\n") && self.heard.is_empty() {
                    all.push(b'\n');
                }
                self.heard.extend_from_slice(&buffer[..room]);
                all.extend_from_slice(&buffer[..room]);
            }
            Some(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
            _ => self.ended = true,
        }
    }
}
