//! Buffers that are smaller when memory is short.

use std::hint::black_box;

/// Returns `max` zeroed bytes, or half of them and so on down to `min` when memory is short. Pages
/// are not touched before they are used.
pub fn zeroed_buffer(max: usize, min: usize) -> Vec<u8> {
    let mut size = max;
    while size > min && !is_available(size) {
        size = (size / 2).max(min);
    }
    vec![0; size]
}

/// Whether this many bytes can be allocated. They are freed again: filling a reserved vector with
/// zeroes would touch every page, and `vec![0; size]` cannot return an error.
fn is_available(size: usize) -> bool {
    let mut trial = Vec::<u8>::new();
    trial.try_reserve_exact(size).is_ok() && black_box(&trial).capacity() >= size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_halves_down_to_the_minimum() {
        assert_eq!(zeroed_buffer(4096, 16), vec![0; 4096]);
        assert_eq!(zeroed_buffer(16, 4096).len(), 16);
        assert_eq!(zeroed_buffer(0, 0).len(), 0);
        // No machine has half of the address space.
        let halved = zeroed_buffer(isize::MAX as usize, 64);
        assert!((64..isize::MAX as usize).contains(&halved.len()));
    }
}
