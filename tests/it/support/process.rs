//! A running process: what it has written so far, its stdin, signals and its end.
//!
//! Threads read both of its output streams, so that it never blocks on a full pipe; each wait has a
//! deadline.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::sockit::Run;
use crate::support::wait_until;

/// The bytes of one stream so far.
#[derive(Clone, Default)]
pub struct Capture(Arc<(Mutex<Captured>, Condvar)>);

#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    ended: bool,
}

impl Capture {
    /// Reads `source` to its end on a thread.
    pub fn of(source: impl Read + Send + 'static) -> Capture {
        let capture = Capture::default();
        let ours = capture.clone();
        thread::spawn(move || ours.fill(source));
        capture
    }

    /// A stream that is not captured.
    pub fn nothing() -> Capture {
        let capture = Capture::default();
        capture.0.0.lock().unwrap().ended = true;
        capture
    }

    fn fill(&self, mut source: impl Read) {
        let mut buffer = [0; 65536];
        loop {
            let n = source.read(&mut buffer).unwrap_or(0);
            let mut captured = self.0.0.lock().unwrap();
            captured.bytes.extend_from_slice(&buffer[..n]);
            captured.ended = n == 0;
            self.0.1.notify_all();
            if n == 0 {
                return;
            }
        }
    }

    /// The bytes so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().unwrap().bytes.clone()
    }

    /// Waits until `seen` returns a value; `None` when the stream has ended or `limit` has passed
    /// without one.
    pub fn wait<T>(&self, limit: Duration, seen: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let until = Instant::now() + limit;
        let mut captured = self.0.0.lock().unwrap();
        loop {
            if let Some(found) = seen(&captured.bytes) {
                return Some(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if captured.ended || left.is_zero() {
                return None;
            }
            captured = self.0.1.wait_timeout(captured, left).unwrap().0;
        }
    }

    /// Waits for the end of the stream; false when `limit` passes first.
    fn wait_for_end(&self, limit: Duration) -> bool {
        let captured = self.0.0.lock().unwrap();
        let waited =
            self.0.1.wait_timeout_while(captured, limit, |captured| !captured.ended).unwrap();
        waited.0.ended
    }
}

/// Lets SIGINT and SIGQUIT end programs also where a shell has started the tests in the background,
/// with both ignored: programs inherit that.
#[allow(unsafe_code)]
fn end_ignoring_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [libc::SIGINT, libc::SIGQUIT] {
            // SAFETY: the default action runs no code of this process.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    });
}

/// A child with its pipes; its process group is killed when dropped.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    pub stdout: Capture,
    pub stderr: Capture,
    began: Instant,
    limit: Duration,
}

impl Process {
    /// Starts `command`; `input` is written to its stdin, which is then closed; without `input` it
    /// stays open.
    pub fn start(mut command: Command, input: Option<Vec<u8>>, limit: Duration) -> Process {
        end_ignoring_signals();
        let began = Instant::now();
        let started = command.process_group(0).spawn();
        let mut child = started.unwrap_or_else(|why| panic!("{command:?} does not start: {why}"));
        let stdout = child.stdout.take().map_or_else(Capture::nothing, Capture::of);
        let stderr = child.stderr.take().map_or_else(Capture::nothing, Capture::of);
        let mut stdin = child.stdin.take();
        if let Some(bytes) = input
            && let Some(mut pipe) = stdin.take()
        {
            // A child may exit before it has read everything.
            thread::spawn(move || pipe.write_all(&bytes));
        }
        Process { child, stdin, stdout, stderr, began, limit }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to the open stdin.
    #[track_caller]
    pub fn write_stdin(&mut self, text: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("stdin was left open by stdin_open()");
        stdin.write_all(text.as_ref()).expect("sockit still reads its stdin");
    }

    /// Waits until the process has read all that was written to its stdin.
    #[track_caller]
    pub fn wait_for_stdin_read(&self) {
        let stdin = self.stdin.as_ref().expect("stdin was left open by stdin_open()");
        wait_until("stdin is read", || rustix::io::ioctl_fionread(stdin).is_ok_and(|n| n == 0));
    }

    /// Closes the open stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until stderr holds `text`.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        let seen = self.stderr.wait(self.limit, |bytes| find(bytes, text.as_bytes()));
        assert!(seen.is_some(), "stderr does not contain {text:?}\n{}", self.describe());
    }

    /// Waits until stderr holds `text` this many times.
    #[track_caller]
    pub fn wait_for_log_times(&self, text: &str, times: usize) {
        let seen = self.stderr.wait(self.limit, |bytes| {
            (String::from_utf8_lossy(bytes).matches(text).count() >= times).then_some(())
        });
        assert!(
            seen.is_some(),
            "stderr does not contain {text:?} {times} times\n{}",
            self.describe()
        );
    }

    /// Waits until stdout holds `text`.
    #[track_caller]
    pub fn wait_for_output(&self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        let seen = self.stdout.wait(self.limit, |bytes| find(bytes, text));
        assert!(
            seen.is_some(),
            "stdout does not contain {}\n{}",
            text.escape_ascii(),
            self.describe()
        );
    }

    /// Waits until stdout holds this many bytes.
    #[track_caller]
    pub fn wait_for_output_len(&self, size: usize) {
        let seen = self.stdout.wait(self.limit, |bytes| (bytes.len() >= size).then_some(()));
        let came = self.stdout.bytes().len();
        assert!(seen.is_some(), "{came} of {size} bytes\n{}", lossy(&self.stderr.bytes()));
    }

    /// Sends a signal by its number (`libc::SIGTERM`).
    pub fn signal(&self, signal: i32) {
        let pid = rustix::process::Pid::from_raw(self.pid() as i32).expect("a process id");
        let signal = rustix::process::Signal::from_named_raw(signal).expect("a signal");
        // The process may have ended.
        let _ = rustix::process::kill_process(pid, signal);
    }

    /// Waits for its exit, at most the limit of the run from now.
    #[track_caller]
    pub fn wait(mut self) -> Run {
        let until = Instant::now() + self.limit;
        let Some(status) = self.status_by(until) else {
            panic!("still running after {:?}\n{}", self.limit, self.describe());
        };
        let ended = Instant::now();
        self.finish(status, ended)
    }

    /// Whether it is still running.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn status_by(&mut self, until: Instant) -> Option<ExitStatus> {
        // The streams end with the process: no polling until then.
        let left = || until.saturating_duration_since(Instant::now());
        self.stdout.wait_for_end(left());
        self.stderr.wait_for_end(left());
        loop {
            match self.child.try_wait().expect("our child") {
                Some(status) => return Some(status),
                None if Instant::now() >= until => return None,
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn finish(self, status: ExitStatus, ended: Instant) -> Run {
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let stderr = String::from_utf8_lossy(&self.stderr.bytes()).into_owned();
        let stdout = self.stdout.bytes();
        Run { code, stdout, stderr, took: ended - self.began }
    }

    fn describe(&self) -> String {
        let out = self.stdout.bytes();
        let err = self.stderr.bytes();
        format!("--- stdout\n{}\n--- stderr\n{}\n---", out.escape_ascii(), lossy(&err))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After the child has been reaped, its process id may be reused.
        if self.is_alive()
            && let Some(group) = rustix::process::Pid::from_raw(self.pid() as i32)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// A server that has reported its address.
pub struct Daemon {
    process: Process,
    local: String,
}

impl Daemon {
    /// Waits for `listening` on stderr, as text or as JSON.
    #[track_caller]
    pub fn wait_for_listening(process: Process) -> Daemon {
        let local =
            process.stderr.wait(process.limit, |bytes| lossy(bytes).lines().find_map(local));
        Daemon::listening_on(local, process)
    }

    /// Waits for the port on stdout, where stderr is not captured.
    #[track_caller]
    pub fn wait_for_port(process: Process) -> Daemon {
        let local = process.stdout.wait(process.limit, |bytes| {
            let (port, _) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
            Some(format!("127.0.0.1:{port}"))
        });
        Daemon::listening_on(local, process)
    }

    #[track_caller]
    fn listening_on(local: Option<String>, process: Process) -> Daemon {
        let Some(local) = local else {
            panic!("it does not report its address\n{}", process.describe());
        };
        Daemon { process, local }
    }

    /// The address it reports: `127.0.0.1:4711`, or a path.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The address to connect to; a wildcard address becomes loopback.
    #[track_caller]
    pub fn addr(&self) -> SocketAddr {
        let mut addr: SocketAddr = self.local.parse().expect("it listens on an address");
        if addr.ip().is_unspecified() {
            addr.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        addr
    }

    /// The port it listens on.
    #[track_caller]
    pub fn port(&self) -> u16 {
        self.addr().port()
    }

    /// Sends SIGTERM and waits for its exit.
    #[track_caller]
    pub fn stop(self) -> Run {
        self.process.signal(libc::SIGTERM);
        self.process.wait()
    }

    /// Waits for its exit.
    #[track_caller]
    pub fn wait(self) -> Run {
        self.process.wait()
    }
}

impl Deref for Daemon {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Daemon {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// The bound address, if `line` reports it (a line still being written has no closing dots or
/// brace).
fn local(line: &str) -> Option<String> {
    if let Ok(event) = serde_json::from_str::<serde_json::Value>(line) {
        let listening = event["event"] == "listening";
        return event["local"].as_str().filter(|_| listening).map(str::to_string);
    }
    let rest = line.split_once("Waiting for ")?.1;
    Some(rest.split_once(" on ")?.1.strip_suffix("...")?.to_string())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
