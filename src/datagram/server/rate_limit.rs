//! How often one source is answered: a limit in constant time and bounded memory.
//!
//! A forged datagram that two honest servers pass to and fro dies at the first answer that is
//! withheld, so this is what ends a loop on any ports.

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Instant;

/// Sets of the table, a power of two.
const SETS: usize = 4096;
/// Sources that share a set.
const WAYS: usize = 4;
/// The window of a burst, in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// Lets each source through at most so many times a second, that many at once.
///
/// It keeps for each source the moment up to which its allowance is used (a leaky bucket kept as
/// one number). A source whose moment has passed is as good as unknown, so its place is free; when
/// none is free the newcomer shares the allowance of the one that has used least, so that a crowd
/// of forged sources wins nothing by pushing each other out.
#[derive(Debug)]
pub struct RateLimiter {
    per_second: u32,
    /// Nanoseconds that one answer uses up.
    cost: u64,
    sets: Vec<[Bucket; WAYS]>,
    seed: RandomState,
    began: Instant,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    key: u64,
    /// Nanoseconds after `began` up to which the allowance is used.
    used_until: u64,
}

impl RateLimiter {
    /// At most `per_second` a second for each source; 0 is no limit, and no memory.
    pub fn new(per_second: u32) -> Option<RateLimiter> {
        let cost = SECOND.checked_div(u64::from(per_second))?.max(1);
        let sets = vec![[Bucket::default(); WAYS]; SETS];
        Some(RateLimiter {
            per_second,
            cost,
            sets,
            seed: RandomState::new(),
            began: Instant::now(),
        })
    }

    /// The limit, in answers a second.
    pub fn per_second(&self) -> u32 {
        self.per_second
    }

    /// How many of `count` datagrams from `source` may be answered at `now`.
    pub fn admit(&mut self, source: &impl Hash, count: u32, now: Instant) -> u32 {
        let now = now.saturating_duration_since(self.began).as_nanos() as u64;
        let (window, cost) = (self.cost * u64::from(self.per_second), self.cost);
        let place = self.bucket_index(source, now);
        let used = place.used_until.max(now);
        let left = (now + window).saturating_sub(used) / cost;
        let admitted = left.min(u64::from(count));
        place.used_until = used + admitted * cost;
        admitted as u32
    }

    fn bucket_index(&mut self, source: &impl Hash, now: u64) -> &mut Bucket {
        let key = self.seed.hash_one(source);
        let set = &mut self.sets[key as usize % SETS];
        let known = set.iter().position(|source| source.key == key);
        let least = |set: &[Bucket; WAYS]| (0..WAYS).min_by_key(|way| set[*way].used_until);
        let way = known.or_else(|| least(set)).unwrap_or(0);
        let place = &mut set[way];
        if place.key != key {
            *place = Bucket { key, used_until: place.used_until.max(now) };
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut limiter = RateLimiter::new(10).unwrap();
        let mut now = limiter.began;
        assert_eq!((0..30).map(|_| limiter.admit(&"a", 1, now)).sum::<u32>(), 10);
        assert_eq!(limiter.admit(&"b", 30, now), 10, "another source has its own allowance");
        now += Duration::from_millis(100);
        assert_eq!(limiter.admit(&"a", 5, now), 1);
        now += Duration::from_secs(60);
        assert_eq!(limiter.admit(&"a", 30, now), 10, "allowances do not pile up");
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert!(RateLimiter::new(0).is_none());
        for rate in [1, 3, 1_000_000_000, u32::MAX] {
            let Some(mut limiter) = RateLimiter::new(rate).filter(|l| l.cost > 0) else { continue };
            let now = limiter.began;
            assert_eq!(limiter.admit(&1, u32::MAX, now), rate);
        }
    }

    #[test]
    fn a_crowd_of_sources_gets_no_more_than_its_places_hold() {
        let mut limiter = RateLimiter::new(10).unwrap();
        let now = limiter.began;
        let admitted: u64 = (0..200_000).map(|n| u64::from(limiter.admit(&n, 10, now))).sum();
        assert!(admitted <= 10 * (SETS * WAYS) as u64, "{admitted}");
        assert!(admitted >= 9 * (SETS * WAYS) as u64, "{admitted}");
    }
}
