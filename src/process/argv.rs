//! What others read of our command line in the list of processes.
#![allow(unsafe_code)] // the words lie in memory that the kernel filled, outside of what Rust owns

use std::ffi::OsString;
use std::ops::Range;

/// Writes stars over parts of our command line, `words` as we were started: each part is the
/// number of a word and its bytes. ps(1) and `/proc/PID/cmdline` then show the stars.
///
/// Where the words cannot be found (no /proc), they stay as they are: that is no failure.
#[cfg(target_os = "linux")]
pub fn redact_argv(words: &[OsString], parts: &[(usize, Range<usize>)]) {
    use std::os::unix::ffi::OsStrExt;

    if parts.is_empty() {
        return;
    }
    let line: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    let Some(start) = find_argv(&line) else { return };
    for (number, bytes) in parts {
        let before: usize = words[..*number].iter().map(|word| word.len() + 1).sum();
        let (from, length) = (before + bytes.start, bytes.len());
        if from + length > line.len() {
            continue;
        }
        // SAFETY: the kernel put the words at `start` on our first stack, which stays for as long
        // as we live, is writable (proc(5), `arg_start`), and has just been seen to hold `line`;
        // no reference to it exists, as `args_os` copies.
        unsafe { std::ptr::write_bytes((start + from) as *mut u8, b'*', length) };
    }
}

/// Not known how on this system.
#[cfg(not(target_os = "linux"))]
pub fn redact_argv(_: &[OsString], _: &[(usize, Range<usize>)]) {}

/// The address of our command line, if it is `line` that is there.
#[cfg(target_os = "linux")]
fn find_argv(line: &[u8]) -> Option<usize> {
    /// `arg_start` and `arg_end`, counted from the field after the program's name (proc(5)).
    const ARG_START: usize = 48 - 3;

    if std::fs::read("/proc/self/cmdline").ok()? != line {
        return None;
    }
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name is in brackets and may hold anything, brackets and spaces too.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(ARG_START);
    let (start, end) =
        (fields.next()?.parse::<usize>().ok()?, fields.next()?.parse::<usize>().ok()?);
    (start != 0 && end.checked_sub(start) == Some(line.len())).then_some(start)
}
