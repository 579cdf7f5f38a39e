//! strace(1): makes system calls fail, and logs them.
//!
//! Occasions are counted per thread. In the main thread the first two calls of `sendto` are
//! signal-hook's, which checks the type of a descriptor with them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use crate::support::peer;
use crate::support::process::Process;
use crate::support::sockit::{LIMIT, Sockit};

/// A run whose `call` fails with `errno` on these occasions (`1`, `1..3`, `2+`).
pub fn injected(run: Sockit, call: &str, errno: &str, when: &str) -> Sockit {
    let inject = format!("inject={call}:error={errno}:when={when}");
    // With -D the child process is sockit itself, and strace exits with it.
    run.under(["strace", "-D", "-f", "-qqq", "-o", "/dev/null", "-e", &inject])
}

/// A run whose system calls are logged to the file `log`, one per line.
pub fn logged(run: Sockit, log: &Path) -> Sockit {
    let log = log.to_str().expect("a UTF-8 path");
    run.under(["strace", "-f", "-qqq", "-o", log])
}

/// The number of calls of each name in a log of strace.
pub fn count_calls(log: &Path) -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let mut calls = BTreeMap::new();
    for line in text.lines() {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let Some((call, _)) = line.split_once('(') else { continue };
        if call.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            *calls.entry(call.to_string()).or_insert(0) += 1;
        }
    }
    calls
}

/// Whether strace is installed and permitted to trace.
pub fn can_trace() -> bool {
    let Some(mut strace) = peer::program("strace") else { return false };
    strace.args(["-qqq", "-o", "/dev/null", "true"]);
    strace.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = Process::start(strace, Some(Vec::new()), LIMIT).wait();
    if run.code != 0 {
        eprintln!("skipped: strace may not trace here: {}", run.stderr);
    }
    run.code == 0
}
