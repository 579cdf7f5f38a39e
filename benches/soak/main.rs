//! Load on all servers at the same time, by clients that follow the protocol and clients that
//! do not.
//!
//! ```console
//! $ cargo bench --bench soak -- --minutes 30
//! ```
//!
//! Each answer is checked; memory, descriptors, threads and zombies of the servers are sampled every
//! second. It fails if an answer was wrong, a metric grew, resources were not released, or a server
//! exited or did not drain on SIGTERM. `--sockit PATH` tests another binary, `--seed N` repeats the
//! choices of an earlier run.

mod checking_clients;
mod clients;
mod misbehaving_clients;
mod peers;
mod proc_stats;
mod registry;
mod rng;
mod servers;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use registry::{Registry, Results};
use servers::Servers;

/// Concurrent clients; some of them open many connections.
const CLIENTS: u64 = 6;
/// Interval between two samples of the servers.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// The parsed command line.
struct Options {
    length: Duration,
    sockit: PathBuf,
    seed: u64,
}

fn main() {
    let Some(options) = options() else {
        // `cargo bench` runs every bench; without a length this one does nothing.
        return println!("soak: usage: --minutes N");
    };
    println!(
        "soak: {:?} of {} with --seed {}",
        options.length,
        options.sockit.display(),
        options.seed
    );
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut servers = Servers::start(&options.sockit, dir.path());
    let registry = Registry::new(&servers, &options.sockit, dir.path());
    let results = Results::default();
    let exited = run(&options, &mut servers, &registry, &results);
    let mut faults = servers.close();
    servers.print();
    results.print();
    faults.extend(exited);
    faults.extend(servers.growth());
    faults.extend(results.failures());
    faults.iter().for_each(|fault| println!("FAULT {fault}"));
    let (runs, failed) = results.sums();
    println!("soak: {} passed, {failed} failed", runs - failed);
    std::process::exit(i32::from(!faults.is_empty()));
}

/// Runs the clients until the time is over or a server has exited; returns which.
fn run(
    options: &Options,
    servers: &mut Servers,
    registry: &Registry,
    results: &Results,
) -> Option<String> {
    let deadline = Instant::now() + options.length;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for n in 0..CLIENTS {
            let (stop, seed) = (&stop, options.seed ^ n << 32);
            scope.spawn(move || registry::run_client(registry, results, seed, stop));
        }
        let mut exited = None;
        while exited.is_none() && Instant::now() < deadline {
            thread::sleep(SAMPLE_INTERVAL.min(deadline.saturating_duration_since(Instant::now())));
            exited = servers.sample();
        }
        stop.store(true, Ordering::SeqCst);
        exited
    })
}

/// Parses the command line; `None` without `--minutes`.
fn options() -> Option<Options> {
    let words: Vec<String> = std::env::args().collect();
    let after = |flag: &str| {
        let at = words.iter().position(|word| word == flag)?;
        words.get(at + 1).cloned()
    };
    let number = |flag: &str| after(flag).and_then(|word| word.parse::<f64>().ok());
    Some(Options {
        length: Duration::from_secs_f64(number("--minutes")? * 60.0),
        sockit: after("--sockit").unwrap_or(env!("CARGO_BIN_EXE_sockit").into()).into(),
        seed: number("--seed").map_or(u64::from(std::process::id()), |seed| seed as u64),
    })
}
