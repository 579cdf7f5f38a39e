//! Errors of responses, URLs and redirects, and the exit code of each.

use std::fmt;

use crate::error::{ExitCode, Failure, Phase};

/// The kind of an [`Error`], which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// An argument is malformed.
    Usage,
    /// The response is malformed, or its framing is wrong.
    Protocol,
    /// The stream ended before the response did.
    Truncated,
    /// A redirect is not followed.
    Redirect,
    /// The stream ended without a byte.
    Empty,
    /// A content coding is broken.
    Coding,
    /// A limit is exceeded.
    Limit,
}

impl ErrorKind {
    /// The exit code.
    pub fn code(self) -> ExitCode {
        match self {
            ErrorKind::Usage => ExitCode::Usage,
            ErrorKind::Protocol => ExitCode::Protocol,
            ErrorKind::Truncated => ExitCode::Partial,
            ErrorKind::Redirect => ExitCode::Redirect,
            ErrorKind::Empty => ExitCode::Empty,
            ErrorKind::Coding => ExitCode::Coding,
            ErrorKind::Limit => ExitCode::Limit,
        }
    }
}

/// Why a response is refused. The text may quote the peer, so it must be escaped when printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The kind.
    pub kind: ErrorKind,
    /// The cause.
    pub text: String,
    /// The flag that accepts such a response, as a hint.
    pub hint: Option<&'static str>,
}

/// The hint of an error that `--lenient` accepts.
pub const LENIENT: &str = "--lenient accepts it";
/// The hint of a broken content coding.
const NO_DECODE: &str = "--no-decode writes the body without decoding";

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Error {
        Error { kind, text: text.into(), hint: None }
    }

    /// Adds the flag that accepts such a response.
    pub fn with_hint(mut self, hint: &'static str) -> Error {
        self.hint = Some(hint);
        self
    }

    /// Converts to a failure in phase receive of the peer called `endpoint`.
    pub fn failure(&self, endpoint: impl fmt::Display) -> Failure {
        let failure = Failure::new(Phase::Receive, endpoint, self.text.clone());
        let mut failure = failure.with_code(self.kind.code());
        failure.hint = self.hint.map(String::from);
        failure
    }

    /// A malformed argument (2).
    pub fn usage(text: impl Into<String>) -> Error {
        Error::new(ErrorKind::Usage, text)
    }

    /// A malformed response (8).
    pub fn protocol(text: impl Into<String>) -> Error {
        Error::new(ErrorKind::Protocol, text)
    }

    /// A truncated response (18).
    pub fn truncated(text: impl Into<String>) -> Error {
        Error::new(ErrorKind::Truncated, text)
    }

    /// A redirect that is not followed (47).
    pub fn redirect(text: impl Into<String>) -> Error {
        Error::new(ErrorKind::Redirect, text)
    }

    /// A broken content coding (61).
    pub fn coding(text: impl Into<String>) -> Error {
        Error::new(ErrorKind::Coding, text).with_hint(NO_DECODE)
    }

    /// An exceeded limit (63).
    pub fn limit(text: impl Into<String>) -> Error {
        Error::new(ErrorKind::Limit, text)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
