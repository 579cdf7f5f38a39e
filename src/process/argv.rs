//! The command line as other users see it in the list of processes.
#![allow(unsafe_code)] // the arguments are in memory that the kernel filled, not owned by Rust

use std::ffi::OsString;
use std::ops::Range;

/// Overwrites parts of the command line `words` with asterisks, which ps(1) and `/proc/PID/cmdline`
/// then show: each part is the index of a word and a range of its bytes.
///
/// Has no effect if the command line is not found (no /proc).
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
        // SAFETY: the kernel put the words at `start` on the initial stack, which exists as long as
        // the process, is writable (proc(5), `arg_start`), and was just compared with `line`; no
        // reference to it exists, because `args_os` copies.
        unsafe { std::ptr::write_bytes((start + from) as *mut u8, b'*', length) };
    }
}

/// Not known how on this system.
#[cfg(not(target_os = "linux"))]
pub fn redact_argv(_: &[OsString], _: &[(usize, Range<usize>)]) {}

/// The address of the command line, if it equals `line`.
#[cfg(target_os = "linux")]
fn find_argv(line: &[u8]) -> Option<usize> {
    /// `arg_start` and `arg_end`, counted from the field after the program's name (proc(5)).
    const ARG_START: usize = 48 - 3;

    if std::fs::read("/proc/self/cmdline").ok()? != line {
        return None;
    }
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name is in parentheses, and may contain parentheses and spaces itself.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(ARG_START);
    let (start, end) =
        (fields.next()?.parse::<usize>().ok()?, fields.next()?.parse::<usize>().ok()?);
    (start != 0 && end.checked_sub(start) == Some(line.len())).then_some(start)
}
