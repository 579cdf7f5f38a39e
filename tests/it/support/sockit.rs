//! Starts the program under test.
//!
//! ```ignore
//! let server = sockit("tcp-server --service echo").serve();
//! let run = sockit("tcp-client").to(server.addr()).stdin("hi\n").run();
//! run.exits(0).prints("hi\n");
//! ```
//!
//! Every run has a timeout; a run that exceeds it is killed, and its test fails with its output.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::process::{Daemon, Process};

/// The timeout of a run unless its test sets another one.
pub const LIMIT: Duration = Duration::from_secs(45);

/// A command line; `line` is split into words as by a shell.
pub fn sockit(line: &str) -> Sockit {
    Sockit {
        before: Vec::new(),
        program: env!("CARGO_BIN_EXE_sockit").into(),
        args: words(line),
        env: Vec::new(),
        stdin: Input::Null,
        stdout: None,
        stderr: None,
        limit: LIMIT,
    }
}

/// The standard input of a run.
enum Input {
    Null,
    Bytes(Vec<u8>),
    Open,
    Given(Stdio),
}

/// The builder of a run.
pub struct Sockit {
    before: Vec<OsString>,
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    stdin: Input,
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
    limit: Duration,
}

impl Sockit {
    /// Adds words to the command line.
    pub fn and(mut self, line: &str) -> Sockit {
        self.args.extend(words(line));
        self
    }

    /// Adds one word unchanged.
    pub fn arg(mut self, word: impl AsRef<OsStr>) -> Sockit {
        self.args.push(word.as_ref().to_owned());
        self
    }

    /// Adds the host and the port of the peer, as two words.
    pub fn to(self, peer: SocketAddr) -> Sockit {
        self.arg(peer.ip().to_string()).arg(peer.port().to_string())
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Sockit {
        self.env.push((name.to_string(), value.to_string()));
        self
    }

    /// Writes these bytes to stdin and closes it. Without this, stdin is /dev/null, which is no
    /// input.
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Sockit {
        self.stdin = Input::Bytes(bytes.as_ref().to_vec());
        self
    }

    /// Leaves stdin open until the test closes it.
    pub fn stdin_open(mut self) -> Sockit {
        self.stdin = Input::Open;
        self
    }

    /// Uses a file, pipe or terminal as stdin.
    pub fn stdin_from(mut self, source: impl Into<Stdio>) -> Sockit {
        self.stdin = Input::Given(source.into());
        self
    }

    /// Uses a file or pipe as stdout; nothing is captured then.
    pub fn stdout_to(mut self, target: impl Into<Stdio>) -> Sockit {
        self.stdout = Some(target.into());
        self
    }

    /// Uses a file or pipe as stderr; nothing is captured then.
    pub fn stderr_to(mut self, target: impl Into<Stdio>) -> Sockit {
        self.stderr = Some(target.into());
        self
    }

    /// Redirections in shell syntax: `<&-`, `>/dev/full`.
    pub fn redirect(self, how: &str) -> Sockit {
        let script = format!("exec \"$0\" \"$@\" {how}");
        self.under(["sh", "-c", &script])
    }

    /// Starts sockit by another program: `prlimit --nofile=40`, `strace …`, `unshare …`.
    pub fn under<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Sockit {
        let mut before: Vec<_> = words.into_iter().map(|w| w.as_ref().to_owned()).collect();
        before.append(&mut self.before);
        self.before = before;
        self
    }

    /// Runs a copy of the program, which other users can execute.
    pub fn instead(mut self, program: &std::path::Path) -> Sockit {
        self.program = program.into();
        self
    }

    /// Sets another timeout than [`LIMIT`].
    pub fn limit(mut self, limit: Duration) -> Sockit {
        self.limit = limit;
        self
    }

    /// Starts it and waits for its exit.
    pub fn run(self) -> Run {
        self.start().wait()
    }

    /// Starts it.
    pub fn start(mut self) -> Process {
        let mut command = self.command();
        let bytes = match std::mem::replace(&mut self.stdin, Input::Null) {
            Input::Null => {
                command.stdin(Stdio::null());
                Some(Vec::new())
            }
            Input::Bytes(bytes) => {
                command.stdin(Stdio::piped());
                Some(bytes)
            }
            Input::Open => {
                command.stdin(Stdio::piped());
                None
            }
            Input::Given(source) => {
                command.stdin(source);
                Some(Vec::new())
            }
        };
        command.stdout(self.stdout.take().unwrap_or_else(Stdio::piped));
        command.stderr(self.stderr.take().unwrap_or_else(Stdio::piped));
        Process::start(command, bytes, self.limit)
    }

    /// Starts a server and waits until it listens. Adds `--port 0` to a server on a port without
    /// `--port`, and reads the port from stdout with `--print-port`.
    pub fn serve(mut self) -> Daemon {
        let args = self.args.clone();
        let has = |word: &str| args.iter().any(|a| a == word);
        let on_a_port = has("tcp-server") || has("udp-server") || has("udp-echo");
        if on_a_port && !has("--port") {
            self = self.and("--port 0");
        }
        if has("--print-port") {
            Daemon::wait_for_port(self.start())
        } else {
            Daemon::wait_for_listening(self.start())
        }
    }

    /// The [`Command`] without its standard streams, for a test that runs it differently (on a
    /// terminal).
    pub fn command(&self) -> Command {
        let mut words = self.before.clone();
        words.push(self.program.clone());
        words.extend(self.args.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.env("HOME", scratch()).env("COLUMNS", "100").env("LC_ALL", "C.UTF-8");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Variables of the caller's environment that would change a run.
const FOREIGN: [&str; 20] = [
    "SOCKIT_LOG",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "ALL_PROXY",
    "all_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "XDG_STATE_HOME",
    "XDG_DATA_HOME",
    "XDG_CONFIG_HOME",
];

/// Copies the program to `path`, by another process: a program that is open for writing cannot be
/// executed, and a child that another test starts meanwhile would inherit the descriptor (execve(2),
/// `ETXTBSY`).
pub fn copy_sockit(path: &Path) {
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_sockit")).arg(path).status();
    assert!(copied.expect("cp").success());
}

/// A home directory for the runs, so that no test touches the user's.
pub fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn words(line: &str) -> Vec<OsString> {
    let words = shlex::split(line).unwrap_or_else(|| panic!("unbalanced quotes: {line}"));
    words.into_iter().map(OsString::from).collect()
}

/// A finished run.
#[derive(Debug)]
pub struct Run {
    /// The exit code as in a shell: 128 + N after signal N.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
    /// The time from the start of the process to its exit.
    pub took: Duration,
}

impl Run {
    /// Checks the exit code.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Run {
        assert_eq!(self.code, code, "exit code\n{}", self.describe());
        self
    }

    /// Checks that stdout equals `text`.
    #[track_caller]
    pub fn prints(&self, text: impl AsRef<[u8]>) -> &Run {
        let want = text.as_ref();
        if self.stdout != want {
            panic!("stdout, wanted {:?}\n{}", String::from_utf8_lossy(want), self.describe());
        }
        self
    }

    /// Checks that stderr contains `text`.
    #[track_caller]
    pub fn logs(&self, text: &str) -> &Run {
        assert!(
            self.stderr.contains(text),
            "stderr does not contain {text:?}\n{}",
            self.describe()
        );
        self
    }

    /// Checks that stderr does not contain `text`.
    #[track_caller]
    pub fn never_logs(&self, text: &str) -> &Run {
        assert!(!self.stderr.contains(text), "stderr contains {text:?}\n{}", self.describe());
        self
    }

    /// Checks that stderr is empty.
    #[track_caller]
    pub fn logs_nothing(&self) -> &Run {
        assert!(self.stderr.is_empty(), "stderr is not empty\n{}", self.describe());
        self
    }

    /// Checks the one error line: `sockit: <phase> <target>: <cause>`, at most one hint.
    #[track_caller]
    pub fn fails_at(&self, phase: &str) -> &Run {
        let errors: Vec<_> = self.stderr.lines().filter(|l| l.starts_with("sockit: ")).collect();
        assert_eq!(errors.len(), 1, "one error line\n{}", self.describe());
        let begin = format!("sockit: {phase} ");
        assert!(errors[0].starts_with(&begin), "phase {phase}\n{}", self.describe());
        let hints = self.stderr.lines().filter(|l| l.starts_with("hint:")).count();
        assert!(hints <= 1, "at most one hint\n{}", self.describe());
        self
    }

    /// The JSON events on stderr, in order; other lines are left out.
    pub fn events(&self) -> Vec<serde_json::Value> {
        self.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The JSON events with this name.
    pub fn events_named(&self, name: &str) -> Vec<serde_json::Value> {
        self.events().into_iter().filter(|event| event["event"] == name).collect()
    }

    /// stdout as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    fn describe(&self) -> String {
        let out = &self.stdout[..self.stdout.len().min(2000)];
        format!(
            "code {} after {:?}\n--- stdout\n{}\n--- stderr\n{}\n---",
            self.code,
            self.took,
            out.escape_ascii(),
            self.stderr
        )
    }
}
