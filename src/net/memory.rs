//! Buffers that become smaller where memory is short.

use std::hint::black_box;

/// `most` zeroed bytes, or half as many and so on down to `least` where memory is short.
///
/// They are the kernel's own fresh pages, none of which is touched before it is filled.
pub fn room(most: usize, least: usize) -> Vec<u8> {
    let mut size = most;
    while size > least && !is_available(size) {
        size = (size / 2).max(least);
    }
    vec![0; size]
}

/// Whether so many bytes can be allocated. They are freed again: filling a reserved vector with
/// zeroes would touch every page, and `vec![0; size]` cannot fail softly.
fn is_available(size: usize) -> bool {
    let mut trial = Vec::<u8>::new();
    trial.try_reserve_exact(size).is_ok() && black_box(&trial).capacity() >= size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_without_memory_halves_down_to_the_least() {
        assert_eq!(room(4096, 16), vec![0; 4096]);
        assert_eq!(room(16, 4096).len(), 16);
        assert_eq!(room(0, 0).len(), 0);
        // No machine has half of all addresses to give.
        let halved = room(isize::MAX as usize, 64);
        assert!((64..isize::MAX as usize).contains(&halved.len()));
    }
}
