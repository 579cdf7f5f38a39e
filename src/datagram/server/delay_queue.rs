//! `--delay`: datagrams whose answers wait for their moment.
//!
//! Nobody waits for another's answer: what comes is taken at once, and each answer has a moment of
//! its own. So many wait at most, and a source has a share of the places; what finds none is not
//! answered, and counted.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::datagram::{DatagramGroup, RecvMeta};
use crate::net::address::Address;

/// Datagrams that wait at once.
const MOST: u32 = 16_384;
/// Of those, from one source.
const SHARE: u32 = MOST / 4;
/// Their bytes together.
const MOST_BYTES: usize = 32 << 20;

/// What waits, the oldest first.
#[derive(Debug)]
pub struct DelayQueue {
    delay: Duration,
    queue: VecDeque<Delayed>,
    count: u32,
    bytes: usize,
    by_source: HashMap<Address, u32>,
}

/// Datagrams that came together, and where they go on.
#[derive(Debug)]
pub struct Delayed {
    due: Instant,
    envelope: RecvMeta,
    bytes: Vec<u8>,
    segment: usize,
    /// How many datagrams came before them.
    pub heard: u64,
    /// The address of ours they were sent to.
    pub local: Address,
}

impl DelayQueue {
    /// Nothing yet; each will wait for `delay`.
    pub fn new(delay: Duration) -> DelayQueue {
        let (queue, by_source) = (VecDeque::new(), HashMap::new());
        DelayQueue { delay, queue, count: 0, bytes: 0, by_source }
    }

    /// Keeps what there is room for; the number of datagrams there was none for.
    pub fn push(
        &mut self,
        bundle: &DatagramGroup<'_>,
        heard: u64,
        local: Address,
        now: Instant,
    ) -> u32 {
        let count = bundle.count();
        let source = source(&bundle.envelope.address());
        let has = self.by_source.get(&source).copied().unwrap_or(0);
        let room = (MOST - self.count).min(SHARE.saturating_sub(has)).min(count);
        let kept = bundle.first(room);
        if room == 0 || self.bytes + kept.bytes.len() > MOST_BYTES {
            return count;
        }
        self.count += room;
        self.bytes += kept.bytes.len();
        *self.by_source.entry(source).or_default() += room;
        self.queue.push_back(Delayed {
            due: now.checked_add(self.delay).unwrap_or(now),
            envelope: kept.envelope.clone(),
            bytes: kept.bytes.to_vec(),
            segment: kept.segment,
            heard,
            local,
        });
        count - room
    }

    /// When the next one's moment is.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.queue.front().map(|one| one.due)
    }

    /// The next one whose moment has come; with no `now` the next one whatever.
    pub fn next(&mut self, now: Option<Instant>) -> Option<Delayed> {
        self.queue.front().filter(|one| now.is_none_or(|now| one.due <= now))?;
        let one = self.queue.pop_front()?;
        let count = one.bundle().count();
        self.count -= count;
        self.bytes -= one.bytes.len();
        let source = source(&one.envelope.address());
        if let Some(has) = self.by_source.get_mut(&source) {
            *has -= count;
            if *has == 0 {
                self.by_source.remove(&source);
            }
        }
        Some(one)
    }
}

impl Delayed {
    /// The datagrams, as they came.
    pub fn bundle(&self) -> DatagramGroup<'_> {
        DatagramGroup { envelope: &self.envelope, bytes: &self.bytes, segment: self.segment }
    }
}

/// Whose datagrams share places: all of one address, whatever their port.
fn source(peer: &Address) -> Address {
    match peer.inet() {
        Some(peer) => Address::from(std::net::SocketAddr::new(peer.ip(), 0)),
        None => peer.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::LocalSource;

    const DELAY: Duration = Duration::from_secs(1);

    fn push(held: &mut DelayQueue, peer: &str, bytes: &[u8], segment: usize, now: Instant) -> u32 {
        let peer: std::net::SocketAddr = peer.parse().unwrap();
        let envelope = RecvMeta { peer: peer.into(), origin: LocalSource::default(), cut: false };
        let bundle = DatagramGroup { envelope: &envelope, bytes, segment };
        held.push(&bundle, 0, Address::from(peer), now)
    }

    #[test]
    fn each_waits_for_its_own_moment() {
        let (mut held, now) = (DelayQueue::new(DELAY), Instant::now());
        let later = now + DELAY / 2;
        assert_eq!(push(&mut held, "127.0.0.1:1", b"one", 0, now), 0);
        assert_eq!(push(&mut held, "127.0.0.1:2", b"two", 0, later), 0);
        assert_eq!(held.next_deadline(), Some(now + DELAY));
        assert!(held.next(Some(later)).is_none());
        assert_eq!(held.next(Some(now + DELAY)).unwrap().bundle().bytes, b"one");
        assert!(held.next(Some(now + DELAY)).is_none());
        assert_eq!(held.next(None).unwrap().bundle().bytes, b"two");
        assert_eq!((held.next_deadline(), held.count, held.bytes), (None, 0, 0));
        assert!(held.by_source.is_empty());
    }

    #[test]
    fn a_source_has_its_share_and_no_more() {
        let (mut held, now) = (DelayQueue::new(DELAY), Instant::now());
        for n in 0..SHARE {
            assert_eq!(push(&mut held, "127.0.0.1:1", b"", 0, now), 0, "{n}");
        }
        assert_eq!(push(&mut held, "127.0.0.1:2", b"", 0, now), 1);
        assert_eq!(push(&mut held, "127.0.0.2:2", b"", 0, now), 0);
        held.next(None);
        assert_eq!(push(&mut held, "127.0.0.1:1", b"aabbc", 2, now), 2, "one of three has room");
    }

    #[test]
    fn the_bytes_are_bounded_too() {
        let (mut held, now) = (DelayQueue::new(DELAY), Instant::now());
        let long = vec![0; 60_000];
        let refused = (0..1000).map(|_| push(&mut held, "127.0.0.1:1", &long, 0, now)).sum::<u32>();
        assert_eq!(u64::from(refused), 1000 - (MOST_BYTES / long.len()) as u64);
    }
}
