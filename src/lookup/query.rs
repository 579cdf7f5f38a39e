//! The addresses of a name and the names of an address, from the system or from DNS.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Instant;

use super::answer::{Note, format_addresses};
use super::no_answer::LookupResult;
use super::options::LookupOptions;
use crate::error::{Failure, Phase};
use crate::report::event::lookup::LookupSource;
use crate::resolver::{getaddrinfo, hosts_file};

/// The lookup of one question, with its deadline.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    pub options: &'a LookupOptions,
    /// When the lookup ends without an answer; `None` is no limit.
    pub deadline: Option<Instant>,
    pub notes: &'a RefCell<Vec<Note>>,
}

impl Query<'_> {
    pub fn note(&self, note: Note) {
        self.notes.borrow_mut().push(note);
    }

    pub fn with_deadline(&self, deadline: Option<Instant>) -> Self {
        Query { deadline, ..*self }
    }

    /// Returns the addresses of a name, from the source of the options.
    pub fn addresses(&self, name: &str) -> LookupResult<SocketAddr> {
        match self.options.source {
            LookupSource::Dns => self.dns_addresses(name),
            _ => self.system_addresses(name),
        }
    }

    /// Returns the addresses that the system has for a name.
    pub fn system_addresses(&self, name: &str) -> LookupResult<SocketAddr> {
        self.note(Note::Traffic(format!("> getaddrinfo(3): {name}")));
        let found = getaddrinfo::addresses(name, self.options.family)?;
        self.note(Note::Step(format!("system: {name}: {}", format_addresses(&found).join(", "))));
        Ok(found)
    }

    /// Returns the names of an address. getnameinfo(3) returns one at most, so DNS is queried for
    /// the others, unless the name is from the hosts file, whose line has its aliases (hosts(5)).
    /// `--verify` also queries DNS where the system has no name, see
    /// [`NoAnswer::or_else`](super::no_answer::NoAnswer::or_else).
    pub fn names(&self, question: &str, address: SocketAddr) -> LookupResult<String> {
        if self.options.source == LookupSource::Dns {
            return self.dns_names(question, address);
        }
        let first = self.system_names(question, address);
        if hosts_file::lists_address(address.ip()) {
            let line = hosts_file::names_of(address.ip());
            return first.map(|names| {
                let is_from_line = names.iter().all(|name| line.contains(name));
                if is_from_line { merge_names(names, line) } else { names }
            });
        }
        match first {
            Ok(names) if hosts_file::uses_dns() => {
                Ok(merge_names(names, self.further_names(question, address)))
            }
            Err(no_answer) if self.options.verify.is_some() && hosts_file::uses_dns() => {
                no_answer.or_else(|| self.dns_names(question, address))
            }
            first => first,
        }
    }

    /// Returns the names that DNS adds to a known one; an error is only a message for `-v`.
    pub fn further_names(&self, question: &str, address: SocketAddr) -> Vec<String> {
        self.dns_names(question, address).unwrap_or_else(|no_answer| {
            self.note(Note::Step(format!("no further names: {}", no_answer.failure)));
            Vec::new()
        })
    }

    /// Returns the name that the system has for an address.
    pub fn system_names(&self, question: &str, address: SocketAddr) -> LookupResult<String> {
        self.note(Note::Traffic(format!("> getnameinfo(3): {}", address.ip())));
        match getaddrinfo::name(address)? {
            Some(name) => {
                self.note(Note::Step(format!("system: {question}: {name}")));
                Ok(vec![name])
            }
            None => Err(Failure::new(Phase::Resolve, question, "the address has no name").into()),
        }
    }
}

/// Appends the names of `more` that are not in `names`; case is ignored.
pub fn merge_names(mut names: Vec<String>, more: Vec<String>) -> Vec<String> {
    for name in more {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            names.push(name);
        }
    }
    names
}
