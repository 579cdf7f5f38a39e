//! The rate limit per source, in constant time and bounded memory.
//!
//! A forged datagram that two servers send back and forth ends at the first reply that is dropped,
//! so this ends a loop on any port.

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Instant;

/// Sets of the table, a power of two.
const SETS: usize = 4096;
/// Buckets of a set.
const WAYS: usize = 4;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Admits each source so many times per second, and as many in one burst.
///
/// Each source has a leaky bucket, stored as the time until which its allowance is used (GCRA). A
/// bucket whose time has passed is free; if none of the set is, a new source takes over the least
/// used one with its level, so that forged sources gain nothing by displacing each other.
#[derive(Debug)]
pub struct RateLimiter {
    /// The limit, in replies per second.
    pub per_second: u32,
    /// Nanoseconds that one reply uses up.
    cost: u64,
    sets: Vec<[Bucket; WAYS]>,
    hasher: RandomState,
    started: Instant,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Hash of the source.
    key: u64,
    /// Nanoseconds after `started` until which the allowance is used.
    used_until: u64,
}

impl RateLimiter {
    /// A limiter of `per_second` replies to each source; `None` for 0, which is no limit.
    pub fn new(per_second: u32) -> Option<RateLimiter> {
        let cost = NANOS_PER_SECOND.checked_div(u64::from(per_second))?.max(1);
        let sets = vec![[Bucket::default(); WAYS]; SETS];
        let (hasher, started) = (RandomState::new(), Instant::now());
        Some(RateLimiter { per_second, cost, sets, hasher, started })
    }

    /// How many of `count` datagrams from `source` may be answered at `now`.
    pub fn admit(&mut self, source: &impl Hash, count: u64, now: Instant) -> u64 {
        let now = now.saturating_duration_since(self.started).as_nanos() as u64;
        let (window, cost) = (self.cost * u64::from(self.per_second), self.cost);
        let bucket = self.bucket(source, now);
        let used = bucket.used_until.max(now);
        let free = (now + window).saturating_sub(used) / cost;
        let admitted = free.min(count);
        bucket.used_until = used + admitted * cost;
        admitted
    }

    fn bucket(&mut self, source: &impl Hash, now: u64) -> &mut Bucket {
        let key = self.hasher.hash_one(source);
        let set = &mut self.sets[key as usize % SETS];
        let known = set.iter().position(|bucket| bucket.key == key);
        let least_used = |set: &[Bucket; WAYS]| (0..WAYS).min_by_key(|way| set[*way].used_until);
        let way = known.or_else(|| least_used(set)).unwrap_or(0);
        let bucket = &mut set[way];
        if bucket.key != key {
            *bucket = Bucket { key, used_until: bucket.used_until.max(now) };
        }
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn burst_is_admitted_then_rate_holds() {
        let mut limiter = RateLimiter::new(10).unwrap();
        let mut now = limiter.started;
        assert_eq!((0..30).map(|_| limiter.admit(&"a", 1, now)).sum::<u64>(), 10);
        assert_eq!(limiter.admit(&"b", 30, now), 10, "another source has its own allowance");
        now += Duration::from_millis(100);
        assert_eq!(limiter.admit(&"a", 5, now), 1);
        now += Duration::from_secs(60);
        assert_eq!(limiter.admit(&"a", 30, now), 10, "allowances do not accumulate");
    }

    #[test]
    fn rate_zero_is_no_limit() {
        assert!(RateLimiter::new(0).is_none());
        for rate in [1, 3, 1_000_000_000, u32::MAX] {
            let Some(mut limiter) = RateLimiter::new(rate).filter(|l| l.cost > 0) else { continue };
            let now = limiter.started;
            assert_eq!(limiter.admit(&1, u64::MAX, now), u64::from(rate));
        }
    }

    #[test]
    fn many_sources_get_no_more_than_all_buckets() {
        let mut limiter = RateLimiter::new(10).unwrap();
        let now = limiter.started;
        let admitted: u64 = (0..200_000).map(|n| limiter.admit(&n, 10, now)).sum();
        assert!(admitted <= 10 * (SETS * WAYS) as u64, "{admitted}");
        assert!(admitted >= 9 * (SETS * WAYS) as u64, "{admitted}");
    }
}
