//! Buffers for the datagrams that one system call receives; reused by the next call.

use super::MAX_UDP_PAYLOAD;
use super::message::{RecvMeta, payloads};
use crate::net::memory;

/// Slot size for one UDP datagram, or for several that the kernel merged (`UDP_GRO`).
pub(super) const UDP_SLOT: usize = 64 << 10;
/// Slot size for one Unix datagram: the default send buffer (`net.core.wmem_default`) allows
/// 212,960 bytes.
pub(super) const UNIX_SLOT: usize = 256 << 10;
/// A Unix socket queues no more than about this many datagrams (`net.unix.max_dgram_qlen`).
pub(super) const UNIX_SLOTS: usize = 8;

/// Slots for up to [`BATCH_SIZE`](super::BATCH_SIZE) datagrams, and the content of the last receive.
///
/// The memory stays the kernel's zero page until a datagram is written to it.
#[derive(Debug, Default)]
pub struct RecvBatch {
    pub(super) bytes: Vec<u8>,
    pub(super) slot_size: usize,
    /// The metadata of the filled slots, in order.
    pub(super) filled: Vec<RecvMeta>,
}

/// The content of one slot: a datagram, or several of equal length from one sender.
#[derive(Debug, Clone, Copy)]
pub struct DatagramGroup<'a> {
    /// Sender, local address and length, the same for each.
    pub meta: &'a RecvMeta,
    /// The payload, or several concatenated.
    pub bytes: &'a [u8],
}

impl RecvBatch {
    /// Up to `slots` slots of `slot_size` bytes; fewer if memory is short.
    pub(super) fn new(slots: usize, slot_size: usize) -> RecvBatch {
        let mut bytes = memory::zeroed_buffer(slots * slot_size, slot_size);
        bytes.truncate(bytes.len() / slot_size * slot_size);
        RecvBatch { bytes, slot_size, filled: Vec::with_capacity(slots) }
    }

    /// The content of each filled slot, in order of arrival.
    pub fn groups(&self) -> impl Iterator<Item = DatagramGroup<'_>> {
        let slots = self.filled.iter().zip(self.bytes.chunks(self.slot_size));
        slots.map(|(meta, slot)| DatagramGroup { meta, bytes: &slot[..meta.len] })
    }
}

impl<'a> DatagramGroup<'a> {
    /// The number of datagrams; an empty one counts.
    pub fn count(&self) -> u64 {
        payloads(self.bytes, self.meta.segment_size).count() as u64
    }

    /// Each payload.
    pub fn datagrams(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        payloads(self.bytes, self.meta.segment_size)
    }

    /// The first `count` payloads.
    pub fn first(&self, count: u64) -> DatagramGroup<'a> {
        if count >= self.count() {
            return *self;
        }
        DatagramGroup { bytes: &self.bytes[..count as usize * self.meta.segment_size], ..*self }
    }
}

const _: () = assert!(UDP_SLOT > MAX_UDP_PAYLOAD);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::LocalSource;

    #[test]
    fn merged_datagrams_are_split_at_segment_size() {
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        for (bytes, segment_size, expected) in [
            (&b"aabbc"[..], 2, &[&b"aa"[..], b"bb", b"c"][..]),
            (b"aabbc", 0, &[b"aabbc"]),
            (b"aabbc", 9, &[b"aabbc"]),
            (b"", 0, &[b""]),
            (b"", 100, &[b""]),
        ] {
            let (peer, local, len) = (peer.into(), LocalSource::default(), bytes.len());
            let meta = &RecvMeta { peer, local, truncated: false, len, segment_size };
            let group = DatagramGroup { meta, bytes };
            assert_eq!(group.datagrams().collect::<Vec<_>>(), expected);
            assert_eq!(group.count() as usize, expected.len());
            assert_eq!(group.first(2).bytes, expected[..expected.len().min(2)].concat());
            assert_eq!(group.first(9).bytes, bytes);
        }
    }
}
