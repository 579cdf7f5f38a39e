//! Errors of responses, URLs and redirects, and the exit code of each.

use std::fmt;

use crate::error::{ExitCode, Failure, Phase};

/// Why a response is refused. The text may quote the peer, so it must be escaped when printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The exit code.
    pub code: ExitCode,
    /// The cause.
    pub text: String,
    /// The flag that accepts such a response, as a hint.
    pub hint: Option<&'static str>,
}

/// The hint of an error that `--lenient` accepts.
pub const LENIENT: &str = "--lenient accepts it";
/// The hint of a head that is too large.
pub const MAX_HEADER: &str = "--max-header SIZE accepts a larger one";
/// The hint of a broken content coding.
const NO_DECODE: &str = "--no-decode writes the body without decoding";

impl Error {
    /// An error with this exit code.
    pub fn new(code: ExitCode, text: impl Into<String>) -> Error {
        Error { code, text: text.into(), hint: None }
    }

    /// Adds the flag that accepts such a response.
    pub fn with_hint(mut self, hint: &'static str) -> Error {
        self.hint = Some(hint);
        self
    }

    /// Converts to a failure in phase receive of the peer called `endpoint`.
    pub fn failure(&self, endpoint: impl fmt::Display) -> Failure {
        let failure = Failure::new(Phase::Receive, endpoint, self.text.clone());
        let mut failure = failure.with_code(self.code);
        failure.hint = self.hint.map(String::from);
        failure
    }

    /// A malformed argument (2).
    pub fn usage(text: impl Into<String>) -> Error {
        Error::new(ExitCode::Usage, text)
    }

    /// A malformed response (8).
    pub fn protocol(text: impl Into<String>) -> Error {
        Error::new(ExitCode::Protocol, text)
    }

    /// A truncated response (18).
    pub fn truncated(text: impl Into<String>) -> Error {
        Error::new(ExitCode::Partial, text)
    }

    /// A redirect that is not followed (47).
    pub fn redirect(text: impl Into<String>) -> Error {
        Error::new(ExitCode::Redirect, text)
    }

    /// A broken content coding (61).
    pub fn coding(text: impl Into<String>) -> Error {
        Error::new(ExitCode::Coding, text).with_hint(NO_DECODE)
    }

    /// An exceeded limit (63).
    pub fn limit(text: impl Into<String>) -> Error {
        Error::new(ExitCode::Limit, text)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
