//! Random numbers and pauses for tests of concurrency. The seed is printed, so that a failed run can
//! be repeated with `SOCKIT_SEED`.

use std::thread;
use std::time::Duration;

/// A random number generator with a seed (splitmix64).
#[derive(Debug, Clone)]
pub struct TestRng(u64);

impl TestRng {
    /// Seeded by `SOCKIT_SEED`, or by the process id; prints the seed.
    pub fn new() -> TestRng {
        let given = std::env::var("SOCKIT_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or(u64::from(std::process::id()));
        eprintln!("SOCKIT_SEED={seed}");
        TestRng(seed)
    }

    /// An independent generator for another thread.
    pub fn split(&mut self) -> TestRng {
        TestRng(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Returns a number in 0..n.
    pub fn in_range(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Returns `n` random bytes.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }

    /// Does nothing, yields, or sleeps for up to 20 microseconds.
    pub fn random_pause(&mut self) {
        match self.in_range(64) {
            0..24 => {}
            24..44 => thread::yield_now(),
            n => thread::sleep(Duration::from_micros(n as u64 - 43)),
        }
    }
}
