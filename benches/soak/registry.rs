//! The scenarios, the addresses they need, and their results.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::rng::Rng;
use crate::servers::{Servers, file};
use crate::{checking_clients, clients, misbehaving_clients, peers};

/// Maximum pause between two scenarios of one client, in milliseconds.
const MAX_PAUSE_MS: usize = 20;
/// Number of failures that are printed in full.
const MAX_PRINTED: usize = 20;

/// The result of one scenario; an error says what was wrong.
pub type Outcome = Result<(), String>;
/// One scenario.
pub type Scenario = fn(&Registry, &mut Rng) -> Outcome;

/// The scenarios by name; the usual ones are listed twice, so that they run more often.
const SCENARIOS: [(&str, Scenario); 28] = [
    ("echo", checking_clients::echo),
    ("echo", checking_clients::echo),
    ("hello", checking_clients::hello),
    ("hello", checking_clients::hello),
    ("unix stream", checking_clients::unix_stream),
    ("unix datagram", checking_clients::unix_datagram),
    ("udp", checking_clients::udp),
    ("udp", checking_clients::udp),
    ("exec", checking_clients::exec),
    ("file", checking_clients::file),
    ("chat", checking_clients::chat),
    ("tls client", clients::tls),
    ("tls client", clients::tls),
    ("http-get complete", clients::http_complete),
    ("http-get truncated", clients::http_truncated),
    ("resolve", clients::resolve),
    ("ping", clients::ping),
    ("client stopped, continued", clients::stopped),
    ("client killed", clients::killed),
    ("half-closes and waits", misbehaving_clients::half_closes),
    ("sends slowly", misbehaving_clients::sends_slowly),
    ("resets", misbehaving_clients::resets),
    ("never reads", misbehaving_clients::never_reads),
    ("sends nothing", misbehaving_clients::sends_nothing),
    ("no TLS handshake", misbehaving_clients::sends_no_handshake),
    ("connects many times", misbehaving_clients::connects_many),
    ("odd datagrams", misbehaving_clients::odd_datagrams),
    ("datagrams from port 7", misbehaving_clients::sends_from_echo_port),
];

/// The addresses of all servers, and the content they serve.
pub struct Registry {
    pub sockit: PathBuf,
    pub dir: PathBuf,
    /// Content of the served file.
    pub file: Vec<u8>,
    pub origin: SocketAddr,
    pub name_server: SocketAddr,
    locals: BTreeMap<&'static str, SocketAddr>,
}

impl Registry {
    /// Collects the addresses of `servers`, and starts a web server and a name server.
    pub fn new(servers: &Servers, sockit: &Path, dir: &Path) -> Registry {
        let tcp = ["echo", "hello", "tls", "udp", "exec", "file", "chat", "relay", "slowed"];
        let address = |name| (name, servers.local(name).parse().expect("an address"));
        Registry {
            sockit: sockit.into(),
            dir: dir.into(),
            file: file(),
            origin: peers::origin(),
            name_server: peers::name_server(),
            locals: tcp.map(address).into(),
        }
    }

    /// Returns the address of a server; panics if the name is not a TCP or UDP server.
    pub fn at(&self, name: &str) -> SocketAddr {
        self.locals[name]
    }

    /// Returns the address of the echo server, or of a relay in front of it.
    pub fn echo(&self, rng: &mut Rng) -> SocketAddr {
        self.at(rng.pick(&["echo", "relay", "slowed"]))
    }

    /// Returns the path of a Unix socket.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Runs random scenarios until `stop` is set.
pub fn run_client(registry: &Registry, results: &Results, seed: u64, stop: &AtomicBool) {
    let mut rng = Rng::new(seed);
    while !stop.load(Ordering::SeqCst) {
        let (name, scenario) = rng.pick(&SCENARIOS);
        results.record(name, scenario(registry, &mut rng));
        thread::sleep(Duration::from_millis(rng.below(MAX_PAUSE_MS) as u64));
    }
}

/// How often each scenario ran, and how often it failed.
#[derive(Default)]
pub struct Results(Mutex<BTreeMap<&'static str, (u64, u64)>>);

impl Results {
    fn record(&self, name: &'static str, outcome: Outcome) {
        let mut rows = self.0.lock().expect("a lock");
        let row = rows.entry(name).or_default();
        row.0 += 1;
        if let Err(why) = outcome {
            row.1 += 1;
            if rows.values().map(|row| row.1).sum::<u64>() <= MAX_PRINTED as u64 {
                println!("FAILED {name}: {why}");
            }
        }
    }

    /// Prints a row for each scenario.
    pub fn print(&self) {
        println!("{:30}{:>8}{:>8}", "scenario", "runs", "failed");
        for (name, (runs, failed)) in self.0.lock().expect("a lock").iter() {
            println!("{name:30}{runs:>8}{failed:>8}");
        }
    }

    /// Returns the number of runs and of failures.
    pub fn sums(&self) -> (u64, u64) {
        let rows = self.0.lock().expect("a lock");
        rows.values().fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1))
    }

    /// Returns a line for each scenario that failed.
    pub fn failures(&self) -> Vec<String> {
        let rows = self.0.lock().expect("a lock");
        let failed = rows.iter().filter(|(_, row)| row.1 > 0);
        failed.map(|(name, row)| format!("{name}: failed {} of {} runs", row.1, row.0)).collect()
    }
}
