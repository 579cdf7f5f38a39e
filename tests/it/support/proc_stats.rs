//! What a process holds and has used, by the kernel's own figures (proc(5)).

use std::time::Duration;

/// Threads of a process.
pub fn threads(pid: u32) -> usize {
    entries(pid, "task")
}

/// Open descriptors.
pub fn descriptors(pid: u32) -> usize {
    entries(pid, "fd")
}

fn entries(pid: u32, kind: &str) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/{kind}")).map_or(0, Iterator::count)
}

/// Resident memory in KiB.
pub fn resident(pid: u32) -> u64 {
    kib(pid, "VmRSS:")
}

/// Resident memory that is no file's, in KiB: what the run itself has written to.
pub fn own_memory(pid: u32) -> u64 {
    kib(pid, "RssAnon:")
}

/// The most resident memory a living process ever had, in KiB.
pub fn peak_memory(pid: u32) -> u64 {
    kib(pid, "VmHWM:")
}

fn kib(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Processor time used so far (fields 14 and 15 of stat, in hundredths of a second).
pub fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = after_name.split(' ').skip(11).take(2).filter_map(|n| n.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}
