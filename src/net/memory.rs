//! Memory, which the machine lends as it lends descriptors and threads: where it is short, large
//! buffers become smaller, and a run that cannot even have a little says so in one line.

#![allow(unsafe_code)] // an allocator speaks in pointers; each call is passed on as it came

use std::alloc::{GlobalAlloc, Layout, System, alloc_zeroed};
use std::cell::Cell;

/// The system's allocator, except that a run without memory ends like any other failed run: the
/// standard library would print a backtrace and abort.
pub struct Memory;

/// What is told when there is none: nothing can be put together any more.
const NONE: &[u8] = b"sockit: socket memory: Cannot allocate memory\n";

thread_local! {
    /// Whether whoever asks just now can do with less.
    static CAN_DO_WITH_LESS: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: every call is the system allocator's own, with the caller's own promises.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as promised by the caller.
        given(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as promised by the caller.
        given(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as promised by the caller.
        given(unsafe { System.realloc(at, layout, size) })
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(at, layout) }
    }
}

fn given(at: *mut u8) -> *mut u8 {
    if at.is_null() && !CAN_DO_WITH_LESS.get() {
        give_up();
    }
    at
}

/// Nothing that is left to do could do without memory: no destructor runs.
#[cold]
fn give_up() -> ! {
    let _ = rustix::io::write(rustix::stdio::stderr(), NONE);
    // SAFETY: ends the process, from any thread.
    unsafe { libc::_exit(crate::failure::Code::Negative.number().into()) }
}

/// One heap for all threads. A heap of its own for each is a mapping of 128 MiB and two faults:
/// worth it for a server of many, and more than the two threads of a client's talk ever use
/// (mallopt(3), `M_ARENA_MAX`).
pub fn share_one_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: a setting of the allocator; it takes its own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// `most` zeroed bytes, or half as many and so on down to `least` where memory is short.
///
/// They are the kernel's own fresh pages, none of which is touched before it is filled.
pub fn room(most: usize, least: usize) -> Vec<u8> {
    let mut size = most;
    while size > least {
        if let Some(bytes) = zeroed(size) {
            return bytes;
        }
        size = (size / 2).max(least);
    }
    vec![0; size]
}

fn zeroed(size: usize) -> Option<Vec<u8>> {
    let layout = Layout::array::<u8>(size).ok().filter(|layout| layout.size() > 0)?;
    CAN_DO_WITH_LESS.set(true);
    // SAFETY: the layout is not empty.
    let at = unsafe { alloc_zeroed(layout) };
    CAN_DO_WITH_LESS.set(false);
    if at.is_null() {
        return None;
    }
    // SAFETY: it was allocated by the global allocator for so many bytes, and all of them are zero.
    Some(unsafe { Vec::from_raw_parts(at, size, size) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_as_can_be_had_and_never_less_than_the_least() {
        assert_eq!(room(4096, 16), vec![0; 4096]);
        assert_eq!(room(16, 4096).len(), 16);
        assert_eq!(room(0, 0).len(), 0);
        // No machine has half of all addresses to give.
        let halved = room(isize::MAX as usize, 64);
        assert!((64..isize::MAX as usize).contains(&halved.len()));
    }
}
