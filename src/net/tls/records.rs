//! Received TLS records, before they are decrypted.

use rustls::{Connection, Error};

use crate::net::memory;

/// Sizes of a read from the kernel, growing with peers that fill it.
const READ_SIZES: [usize; 3] = [8 << 10, 64 << 10, 256 << 10];

/// Received records that are not decrypted yet.
#[derive(Default)]
pub(super) struct RecordBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    has_received: bool,
    record: Record,
}

impl RecordBuffer {
    pub(super) fn new() -> RecordBuffer {
        RecordBuffer { bytes: vec![0; READ_SIZES[0]], ..RecordBuffer::default() }
    }

    /// Whether all received records are complete.
    pub(super) fn is_complete(&self) -> bool {
        self.record.header == 0 && self.record.left == 0
    }

    /// Whether nothing was ever received.
    pub(super) fn is_new(&self) -> bool {
        !self.has_received
    }

    /// The bytes that are not decrypted yet.
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The space for the next read, larger if the last read filled it. Only called when all is
    /// decrypted.
    pub(super) fn space(&mut self) -> &mut [u8] {
        let full = self.end == self.bytes.len();
        let next = READ_SIZES.into_iter().find(|step| *step > self.bytes.len());
        if let Some(next) = next.filter(|_| full) {
            self.bytes = memory::zeroed_buffer(next, self.bytes.len());
        }
        self.start = 0;
        self.end = 0;
        &mut self.bytes
    }

    /// Records a read of `n` bytes.
    pub(super) fn filled(&mut self, n: usize) {
        self.has_received = true;
        self.end = n;
    }

    /// Passes one piece of the unread bytes to the TLS state.
    pub(super) fn feed(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let mut rest = &self.bytes[self.start..self.end];
        let taken = connection.read_tls(&mut rest).map_err(|e| Error::General(e.to_string()))?;
        self.record.advance(&self.bytes[self.start..self.start + taken]);
        self.start += taken;
        connection.process_new_packets().map(drop)
    }

    /// Feeds until all is read or the handshake is complete: what follows is application data.
    pub(super) fn feed_handshake(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let handshaking = connection.is_handshaking();
        while self.start < self.end && connection.is_handshaking() == handshaking {
            if !handshaking && !connection.wants_read() {
                break;
            }
            self.feed(connection)?;
        }
        Ok(())
    }
}

/// The position within a record: a header of five bytes, whose last two say how many follow
/// (RFC 8446 §5.1).
#[derive(Debug, Default)]
struct Record {
    /// Received bytes of the header.
    header: u8,
    /// The last two of them.
    length: u16,
    /// Missing bytes after a complete header.
    left: usize,
}

impl Record {
    fn advance(&mut self, mut bytes: &[u8]) {
        while let Some((byte, rest)) = bytes.split_first() {
            if self.left > 0 {
                let n = self.left.min(bytes.len());
                self.left -= n;
                bytes = &bytes[n..];
                continue;
            }
            bytes = rest;
            self.header += 1;
            self.length = self.length << 8 | u16::from(*byte);
            if self.header == 5 {
                self.header = 0;
                self.left = self.length.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_is_complete_only_after_its_last_byte() {
        let two = b"\x17\x03\x03\x00\x02ab\x17\x03\x03\x01\x01".to_vec();
        let two = [two, vec![b'x'; 257]].concat();
        let complete = [0, 7, two.len()];
        for len in 0..=two.len() {
            let mut records = RecordBuffer::new();
            records.record.advance(&two[..len / 2]);
            records.record.advance(&two[len / 2..len]);
            assert_eq!(records.is_complete(), complete.contains(&len), "{len}");
        }
    }
}
