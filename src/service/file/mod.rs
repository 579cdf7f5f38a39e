//! `file`: sends a file to each connection, or saves one from each.

mod save;
mod send;

pub use save::SaveFile;
pub use send::SendFile;
