//! The context of a fault: its connection, direction and place in the list, and the decisions made there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::piece::Fault;
use super::share::Share;
use crate::relay::direction::Direction;
use crate::report::event::FaultEvent;

/// Creates a fault for one direction of a connection.
pub type Constructor = Box<dyn Fn(FaultContext) -> Box<dyn Fault> + Send + Sync>;

/// One fault in one direction of one connection.
#[derive(Debug, Clone)]
pub struct FaultContext {
    /// Number of the connection, from 1; 0 for a fault on connections.
    pub conn: u64,
    /// The direction, if the fault has one.
    pub direction: Option<Direction>,
    /// Name of the fault.
    pub fault: &'static str,
    /// Its SPEC, without the direction.
    pub spec: Arc<str>,
    /// Key of its decisions.
    pub key: u64,
    /// Whether a fault has reset the connection, shared by both directions.
    pub is_reset: Arc<AtomicBool>,
}

impl FaultContext {
    /// A random number for place `n` (an offset, a block, a count), always the same one.
    pub fn random(&self, n: u64) -> u64 {
        mix(self.key ^ mix(n))
    }

    /// A random number in 0..`bound`, which is not 0.
    pub fn random_below(&self, n: u64, bound: u64) -> u64 {
        ((u128::from(self.random(n)) * u128::from(bound)) >> 64) as u64
    }

    /// Whether the `n`-th of a sequence, from 0, is among the share that a fault picks: one at a
    /// random place in each stretch of `1/share`, so that the share is exact over any long run.
    pub fn picks(&self, share: Share, n: u64) -> bool {
        let Share(part) = share;
        if part > 0.5 {
            return !self.picks(Share(1.0 - part), n);
        }
        let stretch = |n: u64| (n as f64 * part) as u64;
        let place = |stretch: u64| {
            let at = self.random(stretch) as f64 / u64::MAX as f64;
            ((stretch as f64 + at) / part) as u64
        };
        part > 0.0 && (stretch(n)..=stretch(n + 1)).any(|stretch| place(stretch) == n)
    }

    /// The event of this fault at `offset`.
    pub fn event(&self, offset: u64) -> FaultEvent {
        FaultEvent {
            conn: self.conn,
            direction: self.direction.map(Direction::name),
            fault: self.fault,
            spec: self.spec.to_string(),
            offset: Some(offset),
            bit: None,
        }
    }

    /// Records that this fault resets the connection; `false` if another one did before.
    pub fn claim_reset(&self) -> bool {
        !self.is_reset.swap(true, Ordering::SeqCst)
    }
}

/// A key that depends on all of `words`.
pub fn key(words: &[u64]) -> u64 {
    words.iter().fold(0, |key, word| mix(key ^ mix(*word)))
}

/// The output function of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}
