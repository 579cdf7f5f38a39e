//! Memory, descriptors, threads and zombies of a process, from /proc, and whether they grow.

use std::collections::HashMap;
use std::fs;

/// One sample of one process (proc(5)).
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcStats {
    /// Resident memory in KiB.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
    /// Children that have exited and were not waited for.
    pub zombies: u64,
}

/// One metric: its name, how to read it, and the difference that does not count as growth.
pub struct Metric {
    pub name: &'static str,
    pub of: fn(&ProcStats) -> u64,
    slack: u64,
}

/// The slack covers a few more connections than at the first sample, because the load varies; a
/// leak in one of a hundred connections exceeds it within minutes.
pub const METRICS: [Metric; 4] = [
    Metric { name: "KiB", of: |v| v.memory, slack: 2048 },
    Metric { name: "descriptors", of: |v| v.descriptors, slack: 24 },
    Metric { name: "threads", of: |v| v.threads, slack: 24 },
    Metric { name: "zombies", of: |v| v.zombies, slack: 4 },
];

impl ProcStats {
    /// Samples `pid`; all values are 0 when the process has ended.
    pub fn of(pid: u32, zombies: &HashMap<u32, u64>) -> ProcStats {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        ProcStats {
            memory: field("VmRSS:").unwrap_or(0),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count) as u64,
            threads: field("Threads:").unwrap_or(0),
            zombies: zombies.get(&pid).copied().unwrap_or(0),
        }
    }
}

/// Counts the zombie children of each process.
pub fn zombies() -> HashMap<u32, u64> {
    let mut sums = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // After the name, which may contain any byte: the state, then the parent.
        let mut words = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        if words.next() == Some("Z")
            && let Some(parent) = words.next().and_then(|word| word.parse().ok())
        {
            *sums.entry(parent).or_insert(0) += 1;
        }
    }
    sums
}

impl Metric {
    /// Returns the medians of the first and the last quarter, and the maximum. The first fifth is
    /// warm-up and left out of the medians.
    pub fn trend(&self, samples: &[ProcStats]) -> (u64, u64, u64) {
        let warm = &samples[samples.len() / 5..];
        let quarter = (warm.len() / 4).max(1).min(warm.len());
        let max = samples.iter().map(self.of).max().unwrap_or(0);
        (self.median(&warm[..quarter]), self.median(&warm[warm.len() - quarter..]), max)
    }

    fn median(&self, samples: &[ProcStats]) -> u64 {
        let mut values: Vec<u64> = samples.iter().map(self.of).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0)
    }

    /// Returns whether the last quarter exceeds the first by more than the slack.
    pub fn grew(&self, samples: &[ProcStats]) -> bool {
        let (first, last, _) = self.trend(samples);
        last > first + self.slack.max(first / 10)
    }
}
