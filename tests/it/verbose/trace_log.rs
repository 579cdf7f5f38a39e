//! What strace(1) recorded of a run, as the lines that `-vv` must have for it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::support::sockit::{Run, Sockit};

/// The calls of a conversation.
const CALLS: &str = "trace=socket,setsockopt,bind,listen,accept,accept4,connect,sendto,sendmsg,\
                     sendmmsg,recvfrom,recvmsg,recvmmsg,sendfile,splice,shutdown";

/// The beginnings of the lines of calls.
const LINES: &[&str] = &[
    "Creating ",
    "Setting ",
    "Binding ",
    "Listening ",
    "Accept ",
    "Connecting ",
    "Sent ",
    "Sending ",
    "Received ",
    "Got data ",
    "Shut down ",
    "Resetting ",
];

/// The calls of a run under strace.
pub struct TraceLog {
    dir: tempfile::TempDir,
}

impl TraceLog {
    pub fn new() -> TraceLog {
        TraceLog { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("calls")
    }

    /// The same run, recorded.
    pub fn record(&self, run: Sockit) -> Sockit {
        let path = self.path();
        run.under(["strace", "-f", "-qqq", "-e", CALLS, "-o", path.to_str().unwrap()])
    }

    /// Checks that the log of `run` has a line for each call, those of a thread in their order, and
    /// no other.
    #[track_caller]
    pub fn check(&self, run: &Run) {
        let threads = calls_of_threads(&self.path());
        let expected: Vec<_> = threads.values().map(|calls| expected_lines(calls)).collect();
        let is_of_a_call = |line: &&str| LINES.iter().any(|start| line.starts_with(start));
        let lines: Vec<&str> = run.stderr.lines().filter(is_of_a_call).collect();
        let queues = expected.iter().map(Vec::as_slice).collect();
        assert!(
            is_interleaved(&lines, queues),
            "calls:\n{threads:#?}\nexpected lines:\n{expected:#?}\nlog:\n{}",
            run.stderr
        );
    }
}

/// The calls of each thread, in the order in which they returned.
fn calls_of_threads(log: &Path) -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(log).unwrap();
    let mut unfinished: HashMap<&str, &str> = HashMap::new();
    let mut threads: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let (thread, call) = line.split_once(char::is_whitespace).unwrap_or(("", line));
        let call = call.trim_start();
        if let Some(begin) = call.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, begin);
            continue;
        }
        let call = match call.split_once(" resumed>") {
            Some((_, end)) => unfinished.remove(thread).unwrap_or_default().to_string() + end,
            None => call.to_string(),
        };
        threads.entry(thread.to_string()).or_default().push(call);
    }
    threads
}

/// Whether the lines are those of all queues, each queue in its order: threads run concurrently.
fn is_interleaved(lines: &[&str], queues: Vec<&[String]>) -> bool {
    let Some((line, rest)) = lines.split_first() else {
        return queues.iter().all(|queue| queue.is_empty());
    };
    (0..queues.len()).any(|at| match queues[at].split_first() {
        Some((first, others)) if line.starts_with(first.as_str()) => {
            let mut queues = queues.clone();
            queues[at] = others;
            is_interleaved(rest, queues)
        }
        _ => false,
    })
}

fn expected_lines(calls: &[String]) -> Vec<String> {
    calls.iter().flat_map(|call| lines_of(call)).collect()
}

/// The lines of one call; none if it failed or is no part of the conversation.
fn lines_of(call: &str) -> Vec<String> {
    let Some((call, result)) = call.rsplit_once(" = ") else { return Vec::new() };
    let call = call.trim_end();
    let Some((name, arguments)) = call.split_once('(') else { return Vec::new() };
    let begun = result.starts_with("-1 EINPROGRESS");
    let Ok(result) = result.split(' ').next().unwrap_or_default().parse::<i64>() else {
        return Vec::new();
    };
    if result < 0 && !begun {
        return Vec::new();
    }
    let has = |word: &str| arguments.contains(word);
    let one = |line: String| vec![line];
    match name {
        "socket" => one(socket_line(arguments)),
        "setsockopt" if has("SO_REUSEADDR") => one("Setting SO_REUSEADDR... done.".into()),
        "bind" => one("Binding to ".into()),
        "listen" => {
            let backlog = arguments.trim_end_matches(')').rsplit(", ").next().unwrap_or_default();
            one(format!("Listening with a backlog of {backlog}... done."))
        }
        "accept" | "accept4" => one("Accept new connection from ".into()),
        "connect" if has("AF_UNSPEC") => one("Resetting the connection to ".into()),
        "connect" => one("Connecting ".into()),
        "sendto" => one(format!("Sent {} ", group(result))),
        "sendmsg" => one("Sent ".into()),
        "sendmmsg" => vec!["Sent ".into(); result as usize],
        "sendfile" if result > 0 => one("Sending the file from byte ".into()),
        // A look at the first bytes, which stay in the socket.
        "recvfrom" if has("MSG_PEEK") => Vec::new(),
        "recvfrom" if result == 0 => one("Received end of stream from ".into()),
        "recvfrom" => one(format!("Received {} byte", group(result))),
        "recvmsg" => one("Received ".into()),
        "recvmmsg" => vec![String::new(); result as usize],
        "splice" => one("no splice with -vv".into()),
        "shutdown" if has("SHUT_WR)") => one("Sent end of stream to ".into()),
        "shutdown" if has("SHUT_RD)") => one("Shut down receiving from ".into()),
        "shutdown" => one("Shut down both directions of the connection to ".into()),
        _ => Vec::new(),
    }
}

fn socket_line(arguments: &str) -> String {
    let family = match arguments.split(',').next() {
        Some("AF_INET") => "(IPv4",
        Some("AF_INET6") => "(IPv6",
        Some("AF_UNIX") => "(Unix",
        _ => "(no such family is expected",
    };
    if arguments.contains("SOCK_DGRAM") {
        // With -v a UDP client has a second socket, whose line is its own.
        "Creating ".to_string()
    } else {
        format!("Creating socket {family}")
    }
}

fn group(number: i64) -> String {
    let digits = number.to_string();
    let parts: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(to_text).collect();
    parts.join(",")
}

fn to_text(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap()
}
