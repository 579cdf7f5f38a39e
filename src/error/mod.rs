//! Failures and exit codes.
//!
//! A [`Failure`] is created where a system call or a peer fails, with its [`Phase`] and target, and
//! reaches `main` unchanged, which prints one line and exits with its [`ExitCode`]. The codes are
//! those of curl where curl has the same phase.

mod connection;
mod exit_code;
mod layer_error;
mod phase;
mod reason;

use std::error::Error;
use std::fmt;
use std::io;

pub use exit_code::ExitCode;
pub use layer_error::LayerError;
pub use phase::Phase;

use crate::shutdown::ShutdownReason;

/// A failed operation: phase, target, cause and advice.
#[derive(Debug)]
pub struct Failure {
    /// The phase of the run.
    pub phase: Phase,
    /// The target as the user named it; may contain text from a peer, escaped when printed.
    pub target: String,
    /// The exit code.
    pub code: ExitCode,
    /// One line of advice, printed after `hint:`.
    pub hint: Option<String>,
    /// The number of the affected connection, from 1, if there is one.
    pub conn: Option<u64>,
    /// Bytes that were transferred before it, where the cause does not say so itself.
    after_bytes: Option<u64>,
    source: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// A failure with the exit code of its phase, or with the phase and code of the layer that
    /// reported the error ([`LayerError`]).
    pub fn new(
        phase: Phase,
        target: impl fmt::Display,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Failure {
        let source = source.into();
        let inner = source.downcast_ref::<io::Error>().and_then(LayerError::of);
        let (phase, code) = inner.map_or((phase, phase.exit_code()), |i| (i.phase, i.code));
        let hint = inner.and_then(|inner| inner.hint).map(str::to_string);
        let target = target.to_string();
        Failure { phase, target, code, hint, conn: None, after_bytes: None, source }
    }

    /// A malformed address, URL or rule: exit code 2.
    pub fn usage(
        phase: Phase,
        target: impl fmt::Display,
        why: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Failure {
        Failure::new(phase, target, why).with_code(ExitCode::Usage)
    }

    /// A time limit that was reached at `phase`: exit code 28.
    pub fn timeout(phase: Phase, target: impl fmt::Display, limit: std::time::Duration) -> Failure {
        let why = format!("timed out after {}", humantime::format_duration(limit));
        Failure::new(phase, target, why).with_code(ExitCode::Timeout)
    }

    /// The end of the run at `phase`: exit code 130, 143, or 28 for the limit of the run.
    pub fn shutdown(phase: Phase, target: impl fmt::Display, reason: ShutdownReason) -> Failure {
        let (code, why) = match reason {
            ShutdownReason::Interrupt => (ExitCode::Interrupted, "interrupted"),
            ShutdownReason::Terminate => (ExitCode::Terminated, "terminated"),
            ShutdownReason::Deadline => {
                (ExitCode::Timeout, "timed out: the limit of the complete run passed")
            }
        };
        Failure::new(phase, target, why).with_code(code)
    }

    /// A local file at `path` that cannot be written: exit code 23.
    pub fn write_file(path: impl fmt::Display, error: io::Error) -> Failure {
        Failure::new(Phase::File, path, error).with_code(ExitCode::Write)
    }

    /// A resource that the local system does not grant, such as a thread or a pipe: exit code 1.
    pub fn local_resource(target: impl fmt::Display, error: io::Error) -> Failure {
        Failure::new(Phase::Socket, target, error).with_code(ExitCode::Negative)
    }

    /// A resolver that fails by itself, as opposed to a name that does not exist: exit code 75.
    pub fn resolver(
        name: impl fmt::Display,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Failure {
        Failure::new(Phase::Resolve, name, cause).with_code(ExitCode::TryAgain)
    }

    /// The same failure at another phase.
    pub fn at(mut self, phase: Phase) -> Failure {
        self.phase = phase;
        self
    }

    /// The same failure with another exit code.
    pub fn with_code(mut self, code: ExitCode) -> Failure {
        self.code = code;
        self
    }

    /// The same failure with a line of advice.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure for connection `conn`.
    pub fn of_conn(mut self, conn: u64) -> Failure {
        self.conn = Some(conn);
        self
    }

    /// The same failure with the step of an exchange before its cause.
    pub fn with_context(mut self, step: &str) -> Failure {
        self.source = format!("{step}: {}", self.cause()).into();
        self.after_bytes = None;
        self
    }

    /// Whether a time limit was the cause.
    pub fn timed_out(&self) -> bool {
        self.code == ExitCode::Timeout
    }

    /// The error number of the system, if the cause has one.
    pub fn errno(&self) -> Option<i32> {
        self.source.downcast_ref::<io::Error>()?.raw_os_error()
    }

    /// Whether the cause is that the peer closed where it had to send more.
    pub fn is_peer_close(&self) -> bool {
        let cause = self.source.downcast_ref::<io::Error>();
        cause.is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
    }

    /// The text of the cause, without Rust's `(os error N)`.
    pub fn cause(&self) -> String {
        let cause = message_without_errno(self.source.as_ref());
        match self.after_bytes {
            Some(bytes) => format!("{cause} after {bytes} bytes"),
            None => cause,
        }
    }
}

/// An error's text without Rust's ` (os error N)`.
pub fn message_without_errno(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) if text.ends_with(')') => text[..at].to_string(),
        _ => text,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target.as_str() {
            "" => write!(f, "{}: {}", self.phase, self.cause()),
            target => write!(f, "{} {}: {}", self.phase, target, self.cause()),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_printed_as_phase_target_cause() {
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        let failure = Failure::new(Phase::Connect, "db:5432", refused);
        assert_eq!(failure.to_string(), "connect db:5432: Connection refused");
        assert_eq!(failure.code, ExitCode::Connect);
        assert_eq!(failure.errno(), Some(libc::ECONNREFUSED));
    }

    #[test]
    fn timeout_keeps_its_phase() {
        let timeout = Failure::timeout(Phase::Resolve, "db", std::time::Duration::from_secs(2));
        assert!(timeout.timed_out());
        assert_eq!(timeout.to_string(), "resolve db: timed out after 2s");
    }

    #[test]
    fn layer_error_replaces_phase_and_code() {
        let (phase, code, why) = (Phase::Tls, ExitCode::Partial, "truncated".to_string());
        let inner = LayerError { phase, code, why, hint: None };
        let truncated = io::Error::new(io::ErrorKind::UnexpectedEof, inner);
        let failure = Failure::new(Phase::Receive, "db:5432", truncated);
        assert_eq!(
            (failure.code, failure.to_string().as_str()),
            (ExitCode::Partial, "tls db:5432: truncated")
        );
    }

    #[test]
    fn the_code_table_is_in_numeric_order() {
        assert!(ExitCode::ALL.windows(2).all(|two| two[0].0.number() < two[1].0.number()));
        assert!(Phase::ALL.iter().all(|s| ExitCode::ALL.iter().any(|(c, _)| *c == s.exit_code())));
    }
}
