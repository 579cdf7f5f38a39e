//! A read buffer that grows with the amount of data.

use crate::net::memory::zeroed_buffer;

/// First size, in bytes: enough for an idle connection, and less than a page.
const SMALL: usize = 2 << 10;
/// Larger sizes, in bytes, each after a read that filled the buffer.
const STEPS: [usize; 2] = [64 << 10, 256 << 10];

/// Space for one read at a time.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
}

impl Buffer {
    /// A buffer of two kibibytes: ten thousand idle connections need 20 MiB.
    pub fn small() -> Buffer {
        Buffer { bytes: vec![0; SMALL] }
    }

    /// The space for the next read.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The first `n` bytes, as the last read returned them.
    pub fn filled(&self, n: usize) -> &[u8] {
        &self.bytes[..n]
    }

    /// Grows the buffer if a read of `n` bytes filled it.
    pub fn grow_if_full(&mut self, n: usize) {
        if n < self.bytes.len() {
            return;
        }
        if let Some(next) = STEPS.into_iter().find(|step| *step > n) {
            self.bytes = zeroed_buffer(next, n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_grows_after_full_reads_up_to_its_limit() {
        let mut buffer = Buffer::small();
        buffer.grow_if_full(10);
        assert_eq!(buffer.spare().len(), SMALL);
        for expected in [STEPS[0], STEPS[1], STEPS[1]] {
            let n = buffer.spare().len();
            buffer.grow_if_full(n);
            assert_eq!(buffer.spare().len(), expected);
        }
    }
}
