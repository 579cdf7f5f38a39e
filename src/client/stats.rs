//! `--stats`: what a conversation came to, in figures.

use std::time::Duration;

use super::{CONN, SessionResult};
use crate::net::stream::ConnectionInfo;
use crate::report::event::{Event, Stats};

/// The figures of a conversation; `connected` is the time until the stream stood.
pub fn event(talked: &SessionResult, facts: &ConnectionInfo, connected: Duration) -> Event {
    let seconds = facts.began.elapsed().as_secs_f64();
    let rate = |bytes: u64| if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 };
    Event::Stats(Stats {
        conn: CONN,
        bytes_in: talked.bytes_in,
        bytes_out: talked.bytes_out,
        seconds,
        rate_in: rate(talked.bytes_in),
        rate_out: rate(talked.bytes_out),
        connect_milliseconds: connected.as_secs_f64() * 1e3,
        ended_by: talked.by,
        sparkline: talked.picture.clone(),
    })
}
