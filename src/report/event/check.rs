//! The result of checking one target, as text and as JSON.

use std::fmt;

use serde::Serialize;

use super::datagram::RoundTrips;
use crate::report::escape::{escape, escape_keep_backslash};

/// The state of a target, in JSON as documented in `docs/json-events.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckStatus {
    /// It accepts connections, with all layers; a UDP port has answered.
    Open,
    /// It refused the connection.
    Refused,
    /// No answer within the time limit.
    Timeout,
    /// The network reported that it cannot be reached.
    Unreachable,
    /// Its name does not exist.
    NoSuchName,
    /// The resolver itself failed.
    ResolverFailed,
    /// A UDP port that ICMP reported as closed.
    Closed,
    /// A UDP port that neither answered nor was reported as closed.
    NoAnswer,
    /// The Unix socket does not exist.
    NoSuchFile,
    /// Any other failure, such as that of a TLS handshake.
    Failed,
}

impl fmt::Display for CheckStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CheckStatus::Open => "open",
            CheckStatus::Refused => "refused",
            CheckStatus::Timeout => "timeout",
            CheckStatus::Unreachable => "unreachable",
            CheckStatus::NoSuchName => "no such name",
            CheckStatus::ResolverFailed => "resolver failed",
            CheckStatus::Closed => "closed",
            CheckStatus::NoAnswer => "no answer",
            CheckStatus::NoSuchFile => "no such file",
            CheckStatus::Failed => "failed",
        })
    }
}

/// The result of one target. Its fields are documented in `docs/json-events.md`.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    /// The target: `HOST:PORT`, `udp:HOST:PORT` or `unix:PATH`.
    pub target: String,
    /// Its state.
    pub status: CheckStatus,
    /// The exit code of a run with this target only.
    pub code: u8,
    /// From the start of the last attempt to its result, without the name lookup.
    pub milliseconds: f64,
    /// The address that answered, or failed first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The phase at which the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<&'static str>,
    /// Why it is not open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The subject of the server's certificate (`--tls`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The days until the certificate expires; negative afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
    /// The number of attempts.
    pub attempts: u32,
    /// How many of them found it open.
    pub opened: u32,
    /// The times of those, with `--count`.
    #[serde(flatten)]
    pub times: Option<RoundTrips>,
}

impl CheckReport {
    /// As one line of text.
    pub fn line(&self) -> String {
        let target = escape_keep_backslash(&self.target);
        let status = self.status;
        if let Some(times) = &self.times {
            let (opened, attempts) = (self.opened, self.attempts);
            return format!("{target} open {opened} of {attempts}, {times}{}", self.certificate());
        }
        match (status, &self.cause) {
            (CheckStatus::Open, _) => {
                format!("{target} open {:.1} ms{}", self.milliseconds, self.certificate())
            }
            (CheckStatus::Failed, Some(cause)) => {
                let phase = self.phase.unwrap_or_default();
                format!("{target} failed: {phase}: {}", escape_keep_backslash(cause))
            }
            _ => format!("{target} {status}"),
        }
    }

    fn certificate(&self) -> String {
        let Some(subject) = &self.subject else { return String::new() };
        let validity = match self.days_left {
            Some(1) => ", valid for 1 day".to_string(),
            Some(days) if days >= 0 => format!(", valid for {days} days"),
            Some(days) => format!(", expired {} days ago", -days),
            None => String::new(),
        };
        format!(", {}{validity}", escape(subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: CheckStatus) -> CheckReport {
        CheckReport {
            target: "db:5432".into(),
            status,
            code: 0,
            milliseconds: 0.26,
            address: None,
            phase: None,
            cause: None,
            subject: None,
            days_left: None,
            attempts: 1,
            opened: 1,
            times: None,
        }
    }

    #[test]
    fn line_is_target_and_state() {
        assert_eq!(report(CheckStatus::Open).line(), "db:5432 open 0.3 ms");
        assert_eq!(report(CheckStatus::NoSuchName).line(), "db:5432 no such name");
        let (phase, cause) = (Some("tls"), Some("a\nb".into()));
        let failed = CheckReport { phase, cause, ..report(CheckStatus::Failed) };
        assert_eq!(failed.line(), "db:5432 failed: tls: a\\nb");
    }

    #[test]
    fn certificate_is_named_with_its_days() {
        let line = |days_left| {
            let subject = Some("CN=\u{1b}db".to_string());
            CheckReport { subject, days_left, ..report(CheckStatus::Open) }.line()
        };
        assert!(line(Some(57)).ends_with("db, valid for 57 days"), "{}", line(Some(57)));
        assert!(line(Some(1)).ends_with(", valid for 1 day"));
        assert!(line(Some(-2)).ends_with(", expired 2 days ago"));
        assert!(!line(None).contains('\u{1b}'));
    }
}
