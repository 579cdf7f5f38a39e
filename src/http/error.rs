//! What can be wrong with an answer, a URL or a redirect, and the exit code of each.

use std::fmt;

use crate::error::{ExitCode, Failure, Phase};

/// The class of an [`Error`]; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// What the user gave is malformed.
    Usage,
    /// The answer breaks HTTP or lies about its framing.
    Protocol,
    /// The stream ended before the answer did.
    Truncated,
    /// A redirect that must not be followed, or one too many.
    Redirect,
    /// The stream ended before it began.
    Empty,
    /// A content coding is broken.
    Coding,
    /// A limit of ours was reached.
    Limit,
}

impl ErrorKind {
    /// The number the shell gets.
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

/// One reason why an answer is not taken. The text may quote the peer: escape it to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The class.
    pub kind: ErrorKind,
    /// The reason in words.
    pub text: String,
    /// The flag that takes such an answer all the same, as a hint.
    pub hint: Option<&'static str>,
}

/// The hint of an error that `--lenient` accepts.
pub const LENIENT: &str = "--lenient accepts it";
/// The hint of a broken content coding.
const NO_DECODE: &str = "--no-decode delivers the body as it came";

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Error {
        Error { kind, text: text.into(), hint: None }
    }

    /// The same error with the flag that takes such an answer.
    pub fn with_hint(mut self, hint: &'static str) -> Error {
        self.hint = Some(hint);
        self
    }

    /// The failure of a run whose peer, called `endpoint`, sent what is wrong.
    pub fn failure(&self, endpoint: impl fmt::Display) -> Failure {
        let failure = Failure::new(Phase::Receive, endpoint, self.text.clone());
        let mut failure = failure.with_code(self.kind.code());
        failure.hint = self.hint.map(String::from);
        failure
    }

    /// Something the user gave is malformed (2).
    pub fn usage(text: impl Into<String>) -> Error {
        Error::new(ErrorKind::Usage, text)
    }

    /// The answer breaks its protocol (8).
    pub fn protocol(text: impl Into<String>) -> Error {
        Error::new(ErrorKind::Protocol, text)
    }

    /// The answer ended early (18).
    pub fn truncated(text: impl Into<String>) -> Error {
        Error::new(ErrorKind::Truncated, text)
    }

    /// A redirect not to be followed (47).
    pub fn redirect(text: impl Into<String>) -> Error {
        Error::new(ErrorKind::Redirect, text)
    }

    /// A broken content coding (61).
    pub fn coding(text: impl Into<String>) -> Error {
        Error::new(ErrorKind::Coding, text).with_hint(NO_DECODE)
    }

    /// A limit of ours (63).
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
