//! What a server holds, as the kernel's own figures tell, and whether it grows.

use std::collections::HashMap;
use std::fs;

/// One look at one process (proc(5)).
#[derive(Debug, Clone, Copy, Default)]
pub struct Vitals {
    /// Resident memory in KiB.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
    /// Children that have ended and were not waited for.
    pub zombies: u64,
}

/// A figure, what it is called, and by how much it may differ without having grown.
pub struct Figure {
    pub name: &'static str,
    pub of: fn(&Vitals) -> u64,
    slack: u64,
}

/// Traffic goes up and down, so the slack is what a handful of callers more may hold; a leak of
/// one in a hundred visits is beyond it within minutes.
pub const FIGURES: [Figure; 4] = [
    Figure { name: "KiB", of: |v| v.memory, slack: 2048 },
    Figure { name: "descriptors", of: |v| v.descriptors, slack: 24 },
    Figure { name: "threads", of: |v| v.threads, slack: 24 },
    Figure { name: "zombies", of: |v| v.zombies, slack: 4 },
];

impl Vitals {
    /// How `pid` is; all zero when it is gone.
    pub fn of(pid: u32, zombies: &HashMap<u32, u64>) -> Vitals {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Vitals {
            memory: field("VmRSS:").unwrap_or(0),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count) as u64,
            threads: field("Threads:").unwrap_or(0),
            zombies: zombies.get(&pid).copied().unwrap_or(0),
        }
    }
}

/// How many zombies each process has.
pub fn zombies() -> HashMap<u32, u64> {
    let mut sums = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // Behind the name, which may hold anything: the state, then the parent.
        let mut words = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        if words.next() == Some("Z")
            && let Some(parent) = words.next().and_then(|word| word.parse().ok())
        {
            *sums.entry(parent).or_insert(0) += 1;
        }
    }
    sums
}

impl Figure {
    /// The medians of the first and the last quarter after a fifth for warming up, and the most.
    pub fn course(&self, looks: &[Vitals]) -> (u64, u64, u64) {
        let warm = &looks[looks.len() / 5..];
        let quarter = (warm.len() / 4).max(1).min(warm.len());
        let most = looks.iter().map(self.of).max().unwrap_or(0);
        (self.median(&warm[..quarter]), self.median(&warm[warm.len() - quarter..]), most)
    }

    fn median(&self, looks: &[Vitals]) -> u64 {
        let mut values: Vec<u64> = looks.iter().map(self.of).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0)
    }

    /// Whether the last quarter holds more than the first.
    pub fn grew(&self, looks: &[Vitals]) -> bool {
        let (first, last, _) = self.course(looks);
        last > first + self.slack.max(first / 10)
    }
}
