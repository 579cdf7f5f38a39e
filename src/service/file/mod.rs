//! `file`: a file to each guest, or a file from each.

mod save;
mod send;

pub use save::Save;
pub use send::Send;
