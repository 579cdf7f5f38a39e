//! Resources of a process, from proc(5).

use std::time::Duration;

/// The number of threads.
pub fn threads(pid: u32) -> usize {
    entries(pid, "task")
}

/// The number of open descriptors.
pub fn descriptors(pid: u32) -> usize {
    entries(pid, "fd")
}

/// The number of children, including zombies.
pub fn children(pid: u32) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .map(|list| list.split_whitespace().count())
        .sum()
}

fn entries(pid: u32, kind: &str) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/{kind}")).map_or(0, Iterator::count)
}

/// Resident memory in KiB.
pub fn resident(pid: u32) -> u64 {
    kib(pid, "VmRSS:")
}

/// Anonymous resident memory in KiB: what the process itself has written.
pub fn own_memory(pid: u32) -> u64 {
    kib(pid, "RssAnon:")
}

/// The peak of resident memory, in KiB.
pub fn peak_memory(pid: u32) -> u64 {
    kib(pid, "VmHWM:")
}

fn kib(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Processor time so far (fields 14 and 15 of stat, in hundredths of a second).
pub fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = after_name.split(' ').skip(11).take(2).filter_map(|n| n.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}
