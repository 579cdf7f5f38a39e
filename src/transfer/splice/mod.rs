//! Moves bytes within the kernel by splice(2), for which one of the two ends must be a pipe.
//!
//! | ends | file |
//! |---|---|
//! | pipe → socket, socket → pipe | `direct` |
//! | socket → file or null device: through a pipe of its own | `through` |
//! | a limited part of a socket → pipe, file or null device | `bounded` |
//! | socket → socket, both non-blocking | `pipe`, of which relay has one per direction |
//!
//! A splice of 0 from a socket is not taken for the end of the stream: TCP returns it at an urgent
//! mark too (tcp(7)), which only recv(2) passes. The copy continues from there and finds out.

mod bounded;
mod call;
pub(super) mod direct;
mod pipe;
pub(super) mod through;

pub use bounded::BoundedSplice;
pub(super) use call::FastPathError;
pub use call::{SpliceOutcome, is_refusal};
pub use pipe::SplicePipe;
