//! The meaning of a status, of 400 and above as a failure, and of failures for `--retry`.

use std::time::{Duration, SystemTime};

use crate::error::{ExitCode, Failure, Phase};
use crate::http::challenge::schemes;
use crate::http::syntax::decimal;
use crate::http::{Head, HttpUrl};
use crate::net::proxy::{LOGIN_HINT, Proxy};
use crate::net::retry::is_transient;

/// Statuses that may change by themselves (RFC 9110 §15.5.9, §15.6, RFC 6585 §4).
const TRANSIENT: [u16; 6] = [408, 429, 500, 502, 503, 504];
/// The longest wait that a response can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Whether a later request may get another status.
pub fn is_retryable_status(status: u16) -> bool {
    TRANSIENT.contains(&status)
}

/// Whether a later request may not fail in this way.
pub fn is_retryable(failure: &Failure) -> bool {
    is_transient(failure)
        || matches!(
            failure.code,
            ExitCode::Empty | ExitCode::Receive | ExitCode::Send | ExitCode::Partial
        )
}

/// The value of Retry-After (RFC 9110 §10.2.3), in seconds or as a date; at most one hour.
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
    Some(wait.min(MAX_RETRY_AFTER))
}

/// The failure that a response from `url` means by its status: exit code 22. A proxy that the
/// request was sent to may have responded in place of the server.
pub fn server_error(head: &Head, url: &HttpUrl, proxy: Option<&Proxy>) -> Failure {
    let failure = Failure::new(Phase::Receive, url, format!("HTTP status {}", head.status))
        .with_code(ExitCode::Status);
    let login = proxy.is_some_and(|proxy| proxy.authorization().is_some());
    match hint(&schemes(head, "www-authenticate")).filter(|_| head.status == 401) {
        // tinyproxy refuses a wrong login with a 401 of its own.
        Some(hint) if login => {
            failure.with_hint(format!("{hint}, unless the proxy refuses its login"))
        }
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// The failure of a request that `proxy` itself answered with 407: exit code 97.
pub fn proxy_error(head: &Head, proxy: &Proxy) -> Failure {
    let reason = String::from_utf8_lossy(&head.reason);
    let status = format!("{} {reason}", head.status);
    let login = match schemes(head, "proxy-authenticate") {
        found if found.is_empty() => "a login".to_string(),
        found => format!("a login ({})", found.join(", ")),
    };
    let why = format!("it requires {login}: {}", status.trim_end());
    Failure::new(Phase::Proxy, proxy, why).with_code(ExitCode::Proxy).with_hint(LOGIN_HINT)
}

/// The flag that authenticates with one of these schemes.
fn hint(schemes: &[String]) -> Option<String> {
    let offers = |name: &str| schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case(name));
    let flag = if schemes.is_empty() {
        return None;
    } else if offers("basic") {
        "--user USER:PASSWORD"
    } else if offers("bearer") {
        "-H 'Authorization: Bearer TOKEN'"
    } else {
        "--user sends Basic only"
    };
    Some(format!("the server requires {} authentication: {flag}", schemes.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(value: &str) -> Option<Duration> {
        retry_after(&Head::of(503, &[("Retry-After", value)]))
    }

    #[test]
    fn retry_after_is_bounded() {
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("99999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(wait("Tue, 15 Nov 1994 08:12:31 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("Wed, 15 Nov 2119 08:12:31 GMT"), Some(MAX_RETRY_AFTER));
        assert_eq!(wait("soon"), None);
    }
}
