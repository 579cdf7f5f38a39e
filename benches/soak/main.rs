//! Hours of a bad day in minutes: every server at once, callers of every kind, faults among them.
//!
//! ```console
//! $ cargo bench --bench soak -- --minutes 30
//! ```
//!
//! Each answer is checked; the servers' memory, descriptors, threads and zombies are sampled every
//! second. It fails when an answer was wrong, when a figure grew, when what callers held did not
//! come back, when a server died, or when one did not drain on SIGTERM. `--sockit PATH` soaks
//! another binary, `--seed N` throws the same dice once more.

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

use registry::{Ledger, Town};
use servers::House;

/// Callers at once, apart from the crowds that some of them bring.
const CALLERS: u64 = 6;
/// How often the servers are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What was asked for.
struct Plan {
    length: Duration,
    sockit: PathBuf,
    seed: u64,
}

fn main() {
    let Some(plan) = plan() else {
        // `cargo bench` without a length runs the benches, and this is none.
        return println!("soak: how long? --minutes N");
    };
    println!("soak: {:?} of {} with --seed {}", plan.length, plan.sockit.display(), plan.seed);
    let dir = tempfile::tempdir().expect("a folder");
    let mut house = House::start(&plan.sockit, dir.path());
    let town = Town::around(&house, &plan.sockit, dir.path());
    let ledger = Ledger::default();
    let died = live(&plan, &mut house, &town, &ledger);
    let mut faults = house.close();
    house.print();
    ledger.print();
    faults.extend(died);
    faults.extend(house.growth());
    faults.extend(ledger.faults());
    faults.iter().for_each(|fault| println!("FAULT {fault}"));
    let (visits, wrong) = ledger.sums();
    println!("soak: {} passed, {wrong} failed", visits - wrong);
    std::process::exit(i32::from(!faults.is_empty()));
}

/// Lets callers in until the time is over or a server has died; tells which.
fn live(plan: &Plan, house: &mut House, town: &Town, ledger: &Ledger) -> Option<String> {
    let until = Instant::now() + plan.length;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for n in 0..CALLERS {
            let (over, seed) = (&over, plan.seed ^ n << 32);
            scope.spawn(move || registry::call(town, ledger, seed, over));
        }
        let mut died = None;
        while died.is_none() && Instant::now() < until {
            thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
            died = house.look();
        }
        over.store(true, Ordering::SeqCst);
        died
    })
}

/// Reads the command line; `None` without a length.
fn plan() -> Option<Plan> {
    let words: Vec<String> = std::env::args().collect();
    let after = |flag: &str| {
        let at = words.iter().position(|word| word == flag)?;
        words.get(at + 1).cloned()
    };
    let number = |flag: &str| after(flag).and_then(|word| word.parse::<f64>().ok());
    Some(Plan {
        length: Duration::from_secs_f64(number("--minutes")? * 60.0),
        sockit: after("--sockit").unwrap_or(env!("CARGO_BIN_EXE_sockit").into()).into(),
        seed: number("--seed").map_or(u64::from(std::process::id()), |seed| seed as u64),
    })
}
