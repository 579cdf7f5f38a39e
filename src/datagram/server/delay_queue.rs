//! `--delay`: datagrams that wait until their reply is due.
//!
//! Delays run concurrently: every datagram is received immediately and is due on its own. The queue
//! is bounded, also per source; datagrams that find no place are counted and not answered.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::incoming::Incoming;
use crate::datagram::{DatagramGroup, RecvMeta};
use crate::net::address::Address;

/// The most datagrams in the queue.
const MAX_DELAYED: u64 = 16_384;
/// The most datagrams of one source.
const MAX_PER_SOURCE: u64 = MAX_DELAYED / 4;
/// The most payload bytes in the queue.
const MAX_BYTES: usize = 32 << 20;

/// Delayed datagrams, the oldest first.
#[derive(Debug)]
pub struct DelayQueue {
    delay: Duration,
    queue: VecDeque<Delayed>,
    count: u64,
    bytes: usize,
    by_source: HashMap<Address, u64>,
}

/// Datagrams of one group, copied from the receive buffer.
#[derive(Debug)]
pub struct Delayed {
    due: Instant,
    meta: RecvMeta,
    bytes: Vec<u8>,
    previous: u64,
}

impl DelayQueue {
    /// An empty queue; each datagram is due after `delay`.
    pub fn new(delay: Duration) -> DelayQueue {
        let (queue, by_source) = (VecDeque::new(), HashMap::new());
        DelayQueue { delay, queue, count: 0, bytes: 0, by_source }
    }

    /// Adds as many datagrams as there is room for; returns the number of the others.
    pub fn push(&mut self, incoming: &Incoming<'_>, now: Instant) -> u64 {
        let count = incoming.group.count();
        let source = source(&incoming.peer);
        let queued = self.by_source.get(&source).copied().unwrap_or(0);
        let free = (MAX_DELAYED - self.count).min(MAX_PER_SOURCE.saturating_sub(queued));
        let added = free.min(count);
        let group = incoming.group.first(added);
        if added == 0 || self.bytes + group.bytes.len() > MAX_BYTES {
            return count;
        }
        self.count += added;
        self.bytes += group.bytes.len();
        *self.by_source.entry(source).or_default() += added;
        self.queue.push_back(Delayed {
            due: now.checked_add(self.delay).unwrap_or(now),
            meta: group.meta.clone(),
            bytes: group.bytes.to_vec(),
            previous: incoming.previous,
        });
        count - added
    }

    /// When the oldest is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.queue.front().map(|delayed| delayed.due)
    }

    /// Removes the oldest if it is due at `now`; without `now`, whether due or not.
    pub fn pop(&mut self, now: Option<Instant>) -> Option<Delayed> {
        self.queue.front().filter(|delayed| now.is_none_or(|now| delayed.due <= now))?;
        let delayed = self.queue.pop_front()?;
        let count = delayed.group().count();
        self.count -= count;
        self.bytes -= delayed.bytes.len();
        let source = source(&Address::from(&delayed.meta.peer));
        if let Some(queued) = self.by_source.get_mut(&source) {
            *queued -= count;
            if *queued == 0 {
                self.by_source.remove(&source);
            }
        }
        Some(delayed)
    }
}

impl Delayed {
    /// The datagrams as they were received.
    pub fn incoming(&self) -> Incoming<'_> {
        let (group, peer) = (self.group(), Address::from(&self.meta.peer));
        Incoming { group, peer, previous: self.previous }
    }

    fn group(&self) -> DatagramGroup<'_> {
        DatagramGroup { meta: &self.meta, bytes: &self.bytes }
    }
}

/// The source that a limit applies to: the address without its port.
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

    fn push(queue: &mut DelayQueue, peer: &str, payloads: &[&[u8]], now: Instant) -> u64 {
        let (bytes, segment_size) = (&payloads.concat(), payloads[0].len());
        let peer: std::net::SocketAddr = peer.parse().unwrap();
        let local = LocalSource::default();
        let len = bytes.len();
        let meta = RecvMeta { peer: peer.into(), local, truncated: false, len, segment_size };
        let group = DatagramGroup { meta: &meta, bytes };
        queue.push(&Incoming { group, peer: Address::from(peer), previous: 0 }, now)
    }

    #[test]
    fn each_datagram_is_due_after_its_own_delay() {
        let (mut queue, now) = (DelayQueue::new(DELAY), Instant::now());
        let later = now + DELAY / 2;
        assert_eq!(push(&mut queue, "127.0.0.1:1", &[b"one"], now), 0);
        assert_eq!(push(&mut queue, "127.0.0.1:2", &[b"two"], later), 0);
        assert_eq!(queue.next_deadline(), Some(now + DELAY));
        assert!(queue.pop(Some(later)).is_none());
        assert_eq!(queue.pop(Some(now + DELAY)).unwrap().bytes, b"one");
        assert!(queue.pop(Some(now + DELAY)).is_none());
        assert_eq!(queue.pop(None).unwrap().bytes, b"two");
        assert_eq!((queue.next_deadline(), queue.count, queue.bytes), (None, 0, 0));
        assert!(queue.by_source.is_empty());
    }

    #[test]
    fn one_source_gets_its_share_only() {
        let (mut queue, now) = (DelayQueue::new(DELAY), Instant::now());
        for n in 0..MAX_PER_SOURCE {
            assert_eq!(push(&mut queue, "127.0.0.1:1", &[b""], now), 0, "{n}");
        }
        assert_eq!(push(&mut queue, "127.0.0.1:2", &[b""], now), 1);
        assert_eq!(push(&mut queue, "127.0.0.2:2", &[b""], now), 0);
        queue.pop(None);
        assert_eq!(
            push(&mut queue, "127.0.0.1:1", &[b"aa", b"bb", b"c"], now),
            2,
            "one of three has room"
        );
    }

    #[test]
    fn bytes_are_bounded() {
        let (mut queue, now) = (DelayQueue::new(DELAY), Instant::now());
        let long = vec![0; 60_000];
        let rejected: u64 = (0..1000).map(|_| push(&mut queue, "127.0.0.1:1", &[&long], now)).sum();
        assert_eq!(rejected, 1000 - (MAX_BYTES / long.len()) as u64);
    }
}
