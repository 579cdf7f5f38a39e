//! Buffers for the datagrams that one system call receives; reused by the next call.

use std::slice::ChunksMut;

use super::message::RecvMeta;
use super::{BATCH_SIZE, MAX_UDP_PAYLOAD};
use crate::net::memory;

/// Slot size for one UDP datagram, or for several that the kernel merged (`UDP_GRO`).
const UDP_SLOT: usize = 64 << 10;
/// Slot size for one Unix datagram: the default send buffer (`net.core.wmem_default`) allows
/// 212,960 bytes.
const UNIX_SLOT: usize = 256 << 10;
/// A Unix socket queues no more than about this many datagrams (`net.unix.max_dgram_qlen`).
const UNIX_SLOTS: usize = 8;

/// Slots for up to [`BATCH_SIZE`] datagrams, and the content of the last receive.
///
/// The memory stays the kernel's zero page until a datagram is written to it.
#[derive(Debug)]
pub struct RecvBatch {
    bytes: Vec<u8>,
    slot_size: usize,
    filled: Vec<SlotMeta>,
}

/// Metadata of one filled slot.
#[derive(Debug)]
pub(super) struct SlotMeta {
    pub meta: RecvMeta,
    pub len: usize,
    pub segment_size: usize,
}

/// The content of one slot: a datagram, or several of equal length from one sender.
#[derive(Debug, Clone, Copy)]
pub struct DatagramGroup<'a> {
    /// Sender and local address, the same for each.
    pub meta: &'a RecvMeta,
    /// The payload, or several concatenated.
    pub bytes: &'a [u8],
    /// Length of each payload, of which the last may be shorter; 0 = `bytes` is one payload.
    pub segment_size: usize,
}

/// The empty slots of a batch.
pub(super) struct EmptySlots<'a> {
    /// Their buffers.
    pub buffers: ChunksMut<'a, u8>,
    /// Takes the metadata of those that are filled, in the same order.
    pub filled: &'a mut Vec<SlotMeta>,
}

impl RecvBatch {
    /// Slots for UDP datagrams of every length.
    pub fn udp() -> RecvBatch {
        RecvBatch::new(BATCH_SIZE, UDP_SLOT)
    }

    /// Slots for Unix datagrams; one that is too long is marked as truncated.
    pub fn unix() -> RecvBatch {
        RecvBatch::new(UNIX_SLOTS, UNIX_SLOT)
    }

    /// Up to `slots` slots (at most [`BATCH_SIZE`]) of `slot_size` bytes; fewer if memory is short.
    pub fn new(slots: usize, slot_size: usize) -> RecvBatch {
        let slots = slots.clamp(1, BATCH_SIZE);
        let mut bytes = memory::zeroed_buffer(slots * slot_size, slot_size);
        bytes.truncate(bytes.len() / slot_size * slot_size);
        RecvBatch { bytes, slot_size, filled: Vec::with_capacity(slots) }
    }

    /// The number of slots that the last receive filled.
    pub fn len(&self) -> usize {
        self.filled.len()
    }

    /// Whether the last receive returned nothing.
    pub fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }

    /// The content of each filled slot, in order of arrival.
    pub fn groups(&self) -> impl Iterator<Item = DatagramGroup<'_>> {
        self.filled.iter().zip(self.bytes.chunks(self.slot_size)).map(|(filled, slot)| {
            let (meta, segment_size) = (&filled.meta, filled.segment_size);
            DatagramGroup { meta, bytes: &slot[..filled.len], segment_size }
        })
    }

    /// Discards the content of the last receive.
    pub(super) fn clear(&mut self) {
        self.filled.clear();
    }

    /// Empties the slots.
    pub(super) fn prepare(&mut self) -> EmptySlots<'_> {
        self.filled.clear();
        EmptySlots { buffers: self.bytes.chunks_mut(self.slot_size), filled: &mut self.filled }
    }
}

impl<'a> DatagramGroup<'a> {
    /// The number of datagrams; an empty one counts.
    pub fn count(&self) -> u32 {
        match self.stride() {
            0 => 1,
            stride => self.bytes.len().div_ceil(stride).max(1) as u32,
        }
    }

    /// Each payload.
    pub fn datagrams(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (bytes, stride) = (self.bytes, self.stride());
        (0..self.count() as usize).map(move |n| match stride {
            0 => bytes,
            stride => &bytes[n * stride..bytes.len().min((n + 1) * stride)],
        })
    }

    /// The first `count` payloads.
    pub fn first(&self, count: u32) -> DatagramGroup<'a> {
        match self.stride() {
            0 => *self,
            stride => {
                let end = self.bytes.len().min(stride * count as usize);
                DatagramGroup { bytes: &self.bytes[..end], ..*self }
            }
        }
    }

    /// The length of each payload, or 0 for a single one.
    fn stride(&self) -> usize {
        if self.segment_size < self.bytes.len() { self.segment_size } else { 0 }
    }
}

const _: () = assert!(UDP_SLOT > MAX_UDP_PAYLOAD);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::LocalSource;

    fn meta() -> RecvMeta {
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 9)).into();
        RecvMeta { peer, local: LocalSource::default(), truncated: false }
    }

    #[test]
    fn merged_datagrams_are_split_at_segment_size() {
        let meta = meta();
        let group = DatagramGroup { meta: &meta, bytes: b"aabbc", segment_size: 2 };
        assert_eq!(group.count(), 3);
        assert_eq!(group.datagrams().collect::<Vec<_>>(), [&b"aa"[..], b"bb", b"c"]);
        assert_eq!(group.first(2).bytes, b"aabb");
        assert_eq!(group.first(9).bytes, b"aabbc");
    }

    #[test]
    fn empty_datagram_counts_as_one() {
        let meta = meta();
        for segment_size in [0, 100] {
            let group = DatagramGroup { meta: &meta, bytes: b"", segment_size };
            assert_eq!(group.count(), 1);
            assert_eq!(group.datagrams().collect::<Vec<_>>(), [b""]);
        }
    }
}
