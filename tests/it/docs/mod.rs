//! README.md and docs/, compared with the program.

mod console_blocks;
mod limits;
pub mod tables;
