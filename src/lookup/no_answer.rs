//! Why a name or an address has no answer: it is known to have none, or the lookup failed.

use super::answer::Answer;
use crate::error::{ExitCode, Failure};
use crate::report::lookup::LookupStatus;

/// The addresses, names or records that were found.
pub type LookupResult<T> = Result<Vec<T>, NoAnswer>;

/// Why a lookup has no answer.
#[derive(Debug)]
pub struct NoAnswer {
    /// The status, if the exit code of the failure does not determine it.
    pub status: Option<LookupStatus>,
    /// The failure that is printed.
    pub failure: Failure,
}

impl From<Failure> for NoAnswer {
    fn from(failure: Failure) -> NoAnswer {
        NoAnswer { status: None, failure }
    }
}

impl NoAnswer {
    /// Sets the target of the failure to the question as the user wrote it.
    pub fn with_target(mut self, question: &str) -> NoAnswer {
        self.failure.target = question.to_string();
        self
    }

    /// Converts it to the answer to a question.
    pub fn into_answer(self) -> Answer {
        match self.status {
            Some(status) => Answer::failed_as(status, self.failure),
            None => Answer::failed(self.failure),
        }
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
