//! `--stats`: the statistics of a session.

use std::time::Duration;

use super::result::{CONN, SessionResult};
use crate::net::stream::ConnectionInfo;
use crate::report::event::{Event, Stats};

/// The event with the statistics; `connect_time` includes name lookup, proxy and TLS.
pub fn event(result: &SessionResult, facts: &ConnectionInfo, connect_time: Duration) -> Event {
    let seconds = facts.began.elapsed().as_secs_f64();
    let rate = |bytes: u64| if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 };
    Event::Stats(Stats {
        conn: CONN,
        bytes_in: result.bytes_in,
        bytes_out: result.bytes_out,
        seconds,
        rate_in: rate(result.bytes_in),
        rate_out: rate(result.bytes_out),
        connect_milliseconds: connect_time.as_secs_f64() * 1e3,
        ended_by: result.by,
        picture: result.sparkline.clone(),
    })
}
