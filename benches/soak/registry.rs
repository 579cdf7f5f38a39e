//! Where callers find everything, and the book of their visits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::rng::Dice;
use crate::servers::{House, file};
use crate::{checking_clients, clients, misbehaving_clients, peers};

/// The longest pause between two visits of one caller, in milliseconds.
const PAUSE: usize = 20;
/// Wrong answers that are told one by one.
const TOLD: usize = 20;

/// What a visit came to: nothing, or what was wrong.
pub type Outcome = Result<(), String>;
/// One visit.
pub type Visit = fn(&Town, &mut Dice) -> Outcome;

/// Each kind of visit, the usual ones more often than the rude ones.
const VISITS: [(&str, Visit); 28] = [
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
    ("http-get whole", clients::http_whole),
    ("http-get cut", clients::http_cut),
    ("resolve", clients::resolve),
    ("ping", clients::ping),
    ("client stopped, continued", clients::stopped),
    ("client killed", clients::killed),
    ("half-closes and waits", misbehaving_clients::half_closes),
    ("drips", misbehaving_clients::drips),
    ("resets", misbehaving_clients::resets),
    ("never reads", misbehaving_clients::never_reads),
    ("says nothing", misbehaving_clients::says_nothing),
    ("garbage to TLS", misbehaving_clients::garbage),
    ("a crowd", misbehaving_clients::crowd),
    ("odd datagrams", misbehaving_clients::odd_datagrams),
    ("datagrams from port 7", misbehaving_clients::from_port_seven),
];

/// Addresses, and what is to be expected there.
pub struct Town {
    pub sockit: PathBuf,
    pub dir: PathBuf,
    /// What the file server serves.
    pub file: Vec<u8>,
    pub origin: SocketAddr,
    pub name_server: SocketAddr,
    locals: BTreeMap<&'static str, SocketAddr>,
}

impl Town {
    /// The servers of `house`, a web server and a name server.
    pub fn around(house: &House, sockit: &Path, dir: &Path) -> Town {
        let tcp = ["echo", "hello", "tls", "udp", "exec", "file", "chat"];
        let address = |name| (name, house.local(name).parse().expect("an address"));
        Town {
            sockit: sockit.into(),
            dir: dir.into(),
            file: file(),
            origin: peers::origin(),
            name_server: peers::name_server(),
            locals: tcp.map(address).into(),
        }
    }

    /// The address of a server.
    pub fn at(&self, name: &str) -> SocketAddr {
        self.locals[name]
    }

    /// The path of the stream's or the datagram's socket.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// A caller's life: one visit after the other until the day is over.
pub fn call(town: &Town, ledger: &Ledger, seed: u64, over: &AtomicBool) {
    let mut dice = Dice::new(seed);
    while !over.load(Ordering::SeqCst) {
        let (name, visit) = dice.pick(&VISITS);
        ledger.enter(name, visit(town, &mut dice));
        thread::sleep(Duration::from_millis(dice.below(PAUSE) as u64));
    }
}

/// How often each kind of visit was made, and how often it went wrong.
#[derive(Default)]
pub struct Ledger(Mutex<BTreeMap<&'static str, (u64, u64)>>);

impl Ledger {
    fn enter(&self, name: &'static str, outcome: Outcome) {
        let mut book = self.0.lock().expect("a lock");
        let row = book.entry(name).or_default();
        row.0 += 1;
        if let Err(why) = outcome {
            row.1 += 1;
            if book.values().map(|row| row.1).sum::<u64>() <= TOLD as u64 {
                println!("WRONG {name}: {why}");
            }
        }
    }

    /// A row for each kind of visit.
    pub fn print(&self) {
        println!("{:30}{:>8}{:>8}", "visits", "made", "wrong");
        for (name, (made, wrong)) in self.0.lock().expect("a lock").iter() {
            println!("{name:30}{made:>8}{wrong:>8}");
        }
    }

    /// All visits, and all that were wrong.
    pub fn sums(&self) -> (u64, u64) {
        let book = self.0.lock().expect("a lock");
        book.values().fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1))
    }

    /// The kinds that went wrong.
    pub fn faults(&self) -> Vec<String> {
        let book = self.0.lock().expect("a lock");
        let wrong = book.iter().filter(|(_, row)| row.1 > 0);
        wrong.map(|(name, row)| format!("{name}: wrong {} times of {}", row.1, row.0)).collect()
    }
}
