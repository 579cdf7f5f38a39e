//! The relay: accepts connections, connects each to a target, and copies bytes both ways with every
//! ending passed on as it came.

pub mod direction;
pub mod fault;
pub mod record;
