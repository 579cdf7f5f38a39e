//! Bad days, one after another: every system call refused once, everything the machine lends us
//! used up, signals by the thousand, links that lose and twist, peers that lie, logs nobody reads.
//!
//! What holds on each of them: the run ends, with the number of INTERFACE's table, told in one
//! line; 0 never with a byte missing; no panic text; and a server goes on serving. `strace` does
//! the refusing, `scenes` is the company that a run keeps meanwhile.

mod client_calls;
mod exhaustion;
#[cfg(target_os = "linux")]
mod links;
mod logs;
mod name_servers;
mod peers;
mod scenes;
mod server_calls;
mod signals;
mod transfers;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::sockit::Run;

/// Rows of a table that are tried at once: more than there are cores, because runs wait.
const CONCURRENT: usize = 8;

/// Judges every row, a few at once, and fails with all that was found wrong.
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

/// What every run owes us, however bad the day: a number of the table, no panic text, and where
/// it failed one line that names step, target and cause.
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
