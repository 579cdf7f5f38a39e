//! `--retry`: which failures pass by themselves, and how long to wait for that.

use std::time::{Duration, SystemTime};

use crate::error::{ExitCode, Failure};
use crate::http::Head;
use crate::http::syntax::decimal;
use crate::net::retry::is_transient;

/// Statuses that another try may change (RFC 9110 §15.5.9, §15.6, RFC 6585 §4).
const PASSING: [u16; 6] = [408, 429, 500, 502, 503, 504];
/// No peer makes us wait longer than this.
const LONGEST: Duration = Duration::from_secs(3600);

/// Whether this answer asks to be asked again.
pub fn is_passing_status(status: u16) -> bool {
    PASSING.contains(&status)
}

/// Whether this failure may not happen again.
pub fn is_retryable(failure: &Failure) -> bool {
    is_transient(failure)
        || matches!(
            failure.code,
            ExitCode::Empty | ExitCode::Receive | ExitCode::Send | ExitCode::Partial
        )
}

/// How long the answer asks to wait (RFC 9110 §10.2.3): seconds, or a date.
pub fn retry_after(head: &Head) -> Option<Duration> {
    let value = head.first("retry-after")?;
    let wait = match decimal(value) {
        Some(seconds) => Duration::from_secs(seconds),
        None => {
            let text = std::str::from_utf8(value).ok()?;
            let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
            SystemTime::from(date).duration_since(SystemTime::now()).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(value: &str) -> Option<Duration> {
        retry_after(&Head::of(503, &[("Retry-After", value)]))
    }

    #[test]
    fn the_peer_may_ask_for_patience_but_not_for_ever() {
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("99999999"), Some(LONGEST));
        assert_eq!(wait("Tue, 15 Nov 1994 08:12:31 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("Wed, 15 Nov 2119 08:12:31 GMT"), Some(LONGEST));
        assert_eq!(wait("soon"), None);
    }
}
