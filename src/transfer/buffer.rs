//! A buffer that costs what is used of it.

use crate::net::memory::zeroed_buffer;

/// What a connection that says little needs: one page holds it.
const SMALL: usize = 2 << 10;
/// What a connection that says much gets, in two steps.
const STEPS: [usize; 2] = [64 << 10, 256 << 10];

/// Space for one read at a time, which grows for those who fill it.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
}

impl Buffer {
    /// Two kibibytes, to begin with: ten thousand idle connections cost twenty mebibytes.
    pub fn small() -> Buffer {
        Buffer { bytes: vec![0; SMALL] }
    }

    /// A buffer for bulk from the beginning, or what can be had of it.
    pub fn large() -> Buffer {
        Buffer { bytes: zeroed_buffer(STEPS[1], SMALL) }
    }

    /// Where the next read goes.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// What the last read brought.
    pub fn filled(&self, n: usize) -> &[u8] {
        &self.bytes[..n]
    }

    /// After a read of `n` bytes: if it filled the space, the next may bring more.
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
    fn only_full_reads_make_it_grow_and_only_so_far() {
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
