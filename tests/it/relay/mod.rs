//! `relay`: every ending arrives as it came, through every mix of transports.

mod datagrams;
mod endings;
mod events;
mod limits;
mod resets;
mod route;
