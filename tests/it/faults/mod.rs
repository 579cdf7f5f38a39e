//! Faults: failing system calls, exhausted resources, thousands of signals, lossy links,
//! misbehaving peers and logs that cannot be written.
//!
//! Under each of them the run ends with an exit code of docs/exit-codes.md and at most one error line,
//! never with 0 when a byte is missing and never with a panic; a server keeps serving. `scenarios` has
//! the healthy peers and what a client does with them.

mod client_calls;
mod exhaustion;
#[cfg(target_os = "linux")]
mod links;
mod logs;
mod name_servers;
mod peers;
mod scenarios;
mod server_calls;
mod signals;
mod transfers;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::sockit::Run;

/// Rows that run concurrently: more than there are cores, because runs wait.
const CONCURRENT: usize = 8;

/// Checks the rows concurrently and fails with a list of all errors.
#[track_caller]
fn each<T: Sync>(rows: &[T], check: impl Fn(&T) -> Result<(), String> + Sync) {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(why) = check(row) {
                wrong.lock().expect("no judge panics in here").push(why);
            }
        }
    };
    thread::scope(|scope| (0..CONCURRENT).for_each(|_| drop(scope.spawn(work))));
    let wrong = wrong.into_inner().expect("no judge panics in here");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// Checks what every run must satisfy: an exit code of the table, no panic, and after a failure one
/// error line with phase, target and cause.
fn is_orderly(run: &Run) -> Result<(), String> {
    const CODES: [i32; 22] =
        [0, 1, 2, 6, 7, 8, 18, 22, 23, 26, 28, 35, 45, 47, 52, 55, 56, 60, 61, 63, 75, 97];
    let bad = |why: &str| Err(format!("{why}: code {}, {}", run.code, run.stderr.trim_end()));
    if run.stderr.contains("internal error") || run.stderr.contains("panicked") {
        return bad("a panic");
    }
    if !CODES.contains(&run.code) {
        return bad("no number of the table");
    }
    let errors: Vec<_> = run.stderr.lines().filter(|line| is_error(line)).collect();
    match (run.code, &errors[..]) {
        (0, []) => Ok(()),
        (0, _) => bad("an error and yet 0"),
        (_, [line]) if step(line).is_some() => Ok(()),
        (_, [_]) => bad("not step, target and cause"),
        _ => bad("not one error line"),
    }
}

fn is_error(line: &str) -> bool {
    line.starts_with("sockit: ") && !line.starts_with("sockit: warning: ")
}

/// The first word of an error line, if a target and a cause follow it.
fn step(line: &str) -> Option<&str> {
    const STEPS: [&str; 14] = [
        "resolve", "port", "socket", "bind", "listen", "connect", "proxy", "tls", "send",
        "shutdown", "receive", "stdin", "stdout", "file",
    ];
    let (step, rest) = line.strip_prefix("sockit: ")?.split_once(' ')?;
    (STEPS.contains(&step) && rest.contains(": ")).then_some(step)
}
