//! What the flags ask of every question, and what an answer or its absence looks like.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::query::Query;
use super::question::LookupQuestion;
use super::verify;
use crate::error::{ExitCode, Failure};
use crate::resolver;
use crate::resolver::dns::RecordType;
use crate::resolver::{Family, hosts_file};

/// Whose word is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LookupSource {
    /// The C library's: hosts file, nsswitch and DNS, as programs see it
    System,
    /// A name server's alone
    Dns,
    /// Both, compared
    Both,
}

/// Everything a question needs besides itself; shared by all workers.
#[derive(Debug)]
pub struct LookupOptions {
    /// Which families.
    pub family: Family,
    /// Whose word.
    pub via: LookupSource,
    /// The server to ask, if not those of resolv.conf.
    pub server: Option<SocketAddr>,
    /// A record type instead of addresses or names.
    pub kind: Option<RecordType>,
    /// TCP from the start.
    pub tcp: bool,
    /// Everything there is to tell.
    pub all: bool,
    /// Reverse, forward, compare.
    pub verify: Option<verify::VerifyOptions>,
    /// The time each question has.
    pub limit: Option<Duration>,
}

/// What a name or an address has, or why there is nothing.
pub type LookupResult<T> = Result<Vec<T>, NoAnswer>;

/// Why there is nothing.
#[derive(Debug)]
pub struct NoAnswer {
    /// The word for JSON, where the failure's code does not say it all.
    pub status: Option<&'static str>,
    /// The failure to tell.
    pub failure: Failure,
}

impl From<Failure> for NoAnswer {
    fn from(failure: Failure) -> NoAnswer {
        NoAnswer { status: None, failure }
    }
}

impl NoAnswer {
    /// The same, with the question as the user asked it for its target.
    pub fn of(mut self, word: &str) -> NoAnswer {
        self.failure.endpoint = word.to_string();
        self
    }

    /// The answer it makes.
    pub fn answer(self) -> Answer {
        match self.status {
            Some(status) => Answer::failed_as(status, self.failure),
            None => Answer::failed(self.failure),
        }
    }

    /// What DNS answers instead, where the system says that there is nothing: the C library takes
    /// some failures of a server (FORMERR, NOTAUTH) and of its own for an absence.
    pub fn or_else<T>(self, ask_dns: impl FnOnce() -> LookupResult<T>) -> LookupResult<T> {
        if !self.is_definitive() {
            return Err(self);
        }
        match ask_dns() {
            Err(absence) if absence.is_definitive() => Err(self),
            answers => answers,
        }
    }

    /// Whether it is known that there is nothing, and not only unknown what there is.
    pub fn is_definitive(&self) -> bool {
        self.failure.code == ExitCode::Resolve
    }
}

impl LookupOptions {
    /// What a worker may take beyond the limit: one that asks name servers itself keeps to its
    /// time and then has more to say than that it passed; the C library does not.
    pub fn grace(&self) -> Duration {
        match self.via {
            LookupSource::System => Duration::from_millis(20),
            LookupSource::Both => Duration::from_millis(200),
            LookupSource::Dns => Duration::from_secs(1),
        }
    }

    /// Whether `word` can be answered from this machine's own files, and so at once.
    pub fn is_local(&self, word: &str) -> bool {
        if self.via != LookupSource::System || self.verify.is_some() {
            return false;
        }
        match LookupQuestion::read(word) {
            Ok(LookupQuestion::Service { .. }) | Err(_) => true,
            Ok(LookupQuestion::Address(address)) => {
                self.all || hosts_file::lists_address(address.ip())
            }
            Ok(LookupQuestion::Host { name, .. }) => {
                !matches!(resolver::getaddrinfo::numeric(&name, self.family), Ok(None))
                    || resolver::is_at_hand(&name, self.family)
            }
        }
    }

    /// Answers `word`, as far as it can be known until `until`.
    pub fn answer(&self, word: &str, until: Option<Instant>) -> Answer {
        let notes = RefCell::default();
        let inquiry = Query { plan: self, until, notes: &notes };
        let answer = match LookupQuestion::read(word) {
            Ok(asked) => inquiry.answer(word, asked),
            Err(failure) => Answer::failed(failure),
        };
        Answer { notes: notes.into_inner(), ..answer }
    }
}
