//! Room for what one system call brings, used again and again.

use std::slice::ChunksMut;

use super::message::RecvMeta;
use super::{BATCH_SIZE, MAX_UDP_PAYLOAD};
use crate::net::memory;

/// Room for one UDP datagram, or for several that the kernel hands over as one (`UDP_GRO`).
const UDP_ROOM: usize = 64 << 10;
/// Room for one Unix datagram: the default send buffer (`net.core.wmem_default`) lets a sender make
/// one of 212,960 bytes.
const UNIX_ROOM: usize = 256 << 10;
/// So many Unix datagrams wait at one socket anyway (`net.unix.max_dgram_qlen`).
const UNIX_SLOTS: usize = 8;

/// Slots for up to [`MOST`] datagrams, and what is in them since the last receive.
///
/// The memory is the kernel's zero page until a datagram touches it.
#[derive(Debug)]
pub struct RecvBatch {
    bytes: Vec<u8>,
    room: usize,
    facts: Vec<SlotMeta>,
}

/// What is known of one filled slot.
#[derive(Debug)]
pub(super) struct SlotMeta {
    pub envelope: RecvMeta,
    pub length: usize,
    pub segment: usize,
}

/// One slot's content: a datagram, or several of equal length that came from one sender.
#[derive(Debug, Clone, Copy)]
pub struct DatagramGroup<'a> {
    /// From whom and how.
    pub envelope: &'a RecvMeta,
    /// The payload, or several end to end.
    pub bytes: &'a [u8],
    /// Length of each payload, the last of which may be shorter; 0 = it is one.
    pub segment: usize,
}

impl RecvBatch {
    /// Room for UDP datagrams of every size.
    pub fn udp() -> RecvBatch {
        RecvBatch::new(BATCH_SIZE, UDP_ROOM)
    }

    /// Room for Unix datagrams of the usual sizes; a longer one is seen to be cut.
    pub fn unix() -> RecvBatch {
        RecvBatch::new(UNIX_SLOTS, UNIX_ROOM)
    }

    /// Room for `slots` datagrams (at most [`MOST`]) of up to `room` bytes; for fewer where memory
    /// is short.
    pub fn new(slots: usize, room: usize) -> RecvBatch {
        let slots = slots.clamp(1, BATCH_SIZE);
        let facts = Vec::with_capacity(slots);
        let mut bytes = memory::zeroed_buffer(slots * room, room);
        bytes.truncate(bytes.len() / room * room);
        RecvBatch { bytes, room, facts }
    }

    /// How many slots the last receive filled.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether the last receive brought nothing.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// What the last receive brought, in the order it came.
    pub fn bundles(&self) -> impl Iterator<Item = DatagramGroup<'_>> {
        self.facts.iter().zip(self.bytes.chunks(self.room)).map(|(facts, slot)| DatagramGroup {
            envelope: &facts.envelope,
            bytes: &slot[..facts.length],
            segment: facts.segment,
        })
    }

    /// Forgets what the last receive brought.
    pub(super) fn clear(&mut self) {
        self.facts.clear();
    }

    /// Empty slots, and where what is known of them goes, in the same order.
    pub(super) fn prepare(&mut self) -> (ChunksMut<'_, u8>, &mut Vec<SlotMeta>) {
        self.facts.clear();
        (self.bytes.chunks_mut(self.room), &mut self.facts)
    }
}

impl<'a> DatagramGroup<'a> {
    /// How many datagrams it holds; an empty one counts.
    pub fn count(&self) -> u32 {
        match self.step() {
            0 => 1,
            step => self.bytes.len().div_ceil(step).max(1) as u32,
        }
    }

    /// Each payload.
    pub fn datagrams(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (bytes, step) = (self.bytes, self.step());
        (0..self.count() as usize).map(move |n| match step {
            0 => bytes,
            step => &bytes[n * step..bytes.len().min((n + 1) * step)],
        })
    }

    /// The first `count` payloads.
    pub fn first(&self, count: u32) -> DatagramGroup<'a> {
        match self.step() {
            0 => *self,
            step => {
                let end = self.bytes.len().min(step * count as usize);
                DatagramGroup { bytes: &self.bytes[..end], ..*self }
            }
        }
    }

    /// The length of each, or 0 for a single one.
    fn step(&self) -> usize {
        if self.segment < self.bytes.len() { self.segment } else { 0 }
    }
}

const _: () = assert!(UDP_ROOM > MAX_UDP_PAYLOAD);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::LocalSource;

    fn envelope() -> RecvMeta {
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 9)).into();
        RecvMeta { peer, origin: LocalSource::default(), cut: false }
    }

    #[test]
    fn merged_datagrams_come_apart_where_they_were_joined() {
        let envelope = envelope();
        let bundle = DatagramGroup { envelope: &envelope, bytes: b"aabbc", segment: 2 };
        assert_eq!(bundle.count(), 3);
        assert_eq!(bundle.datagrams().collect::<Vec<_>>(), [&b"aa"[..], b"bb", b"c"]);
        assert_eq!(bundle.first(2).bytes, b"aabb");
        assert_eq!(bundle.first(9).bytes, b"aabbc");
    }

    #[test]
    fn an_empty_datagram_is_one_datagram() {
        let envelope = envelope();
        for segment in [0, 100] {
            let bundle = DatagramGroup { envelope: &envelope, bytes: b"", segment };
            assert_eq!(bundle.count(), 1);
            assert_eq!(bundle.datagrams().collect::<Vec<_>>(), [b""]);
        }
    }
}
