//! Why a name or an address has no answer: it is known to have none, or the lookup failed.

use super::answer::Answer;
use crate::error::{ExitCode, Failure};
use crate::report::event::lookup::{LookupReport, LookupStatus};

/// The addresses, names or records that were found.
pub type LookupResult<T> = Result<Vec<T>, NoAnswer>;

/// Why a lookup has no answer.
#[derive(Debug)]
pub struct NoAnswer {
    /// The status, if the exit code of the failure does not determine it.
    pub status: Option<LookupStatus>,
    pub failure: Failure,
}

impl From<Failure> for NoAnswer {
    fn from(failure: Failure) -> NoAnswer {
        NoAnswer { status: None, failure }
    }
}

impl From<NoAnswer> for Answer {
    fn from(no_answer: NoAnswer) -> Answer {
        let NoAnswer { status, failure } = no_answer;
        let result = LookupReport {
            status: status.unwrap_or_else(|| failure_status(&failure)),
            code: failure.code.number(),
            cause: Some(failure.cause()),
            ..LookupReport::default()
        };
        Answer { failure: Some(failure), ..Answer::ok(result) }
    }
}

impl NoAnswer {
    /// Names the question, as the user wrote it, in the failure.
    pub fn of_question(mut self, question: &str) -> NoAnswer {
        self.failure.target = question.to_string();
        self
    }

    /// Queries DNS where the system has no answer: the C library reports some failures of a name
    /// server (FORMERR, NOTAUTH) and of its own as an unknown name.
    pub fn or_else<T>(self, query_dns: impl FnOnce() -> LookupResult<T>) -> LookupResult<T> {
        if !self.is_definitive() {
            return Err(self);
        }
        match query_dns() {
            Err(no_answer) if no_answer.is_definitive() => Err(self),
            result => result,
        }
    }

    /// Whether it is known that there is no answer; otherwise the lookup failed.
    pub fn is_definitive(&self) -> bool {
        self.failure.code == ExitCode::Resolve
    }
}

/// The status of a failed lookup.
pub fn failure_status(failure: &Failure) -> LookupStatus {
    match failure.code {
        ExitCode::Resolve => LookupStatus::Absent,
        ExitCode::TryAgain => LookupStatus::Failing,
        ExitCode::Timeout => LookupStatus::Timeout,
        ExitCode::Protocol => LookupStatus::Invalid,
        ExitCode::Usage => LookupStatus::Malformed,
        _ => LookupStatus::Failed,
    }
}
