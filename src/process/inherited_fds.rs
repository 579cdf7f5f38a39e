//! Descriptors that the parent process left open.
#![allow(unsafe_code)] // close_range(2), which no crate calls with this flag

/// Keeps every descriptor but 0, 1 and 2 from child processes. Those of sockit are closed on exec
/// anyway, but the parent process may have left others open.
pub fn set_cloexec_on_inherited() {
    #[cfg(target_os = "linux")]
    // SAFETY: close_range(2) with CLOEXEC changes a flag of descriptors, and closes none; a kernel
    // without it changes nothing.
    unsafe {
        libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int);
    }
}
