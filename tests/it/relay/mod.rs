//! `relay`: every ending arrives as it came, through every mix of transports.

mod datagrams;
mod endings;
mod events;
mod faults;
mod limits;
mod record;
mod resets;
mod route;
