//! Moving bytes between two ends, by whichever call suits both.

pub mod buffer;
pub mod stdout;
