//! One question under way: answered by the system, by DNS, or by both.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Instant;

use super::answer::{Answer, Note, format_addresses, same_address, tuple};
use super::compare::compare_views;
use super::options::{LookupOptions, LookupResult, LookupSource};
use super::question::LookupQuestion;
use super::services::services;
use super::verify;
use crate::error::{Failure, Phase};
use crate::report::lookup::LookupReport;
use crate::resolver;
use crate::resolver::{getaddrinfo, hosts_file};

/// One question under way.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// How it is to be answered.
    pub plan: &'a LookupOptions,
    /// Its deadline.
    pub until: Option<Instant>,
    /// What happened on the way.
    pub notes: &'a RefCell<Vec<Note>>,
}

impl Query<'_> {
    /// Notes what happened on the way.
    pub fn note(&self, note: Note) {
        self.notes.borrow_mut().push(note);
    }

    /// The same question with another deadline.
    pub fn within(&self, until: Option<Instant>) -> Self {
        Query { until, ..*self }
    }

    /// Its answer.
    pub fn answer(&self, word: &str, asked: LookupQuestion) -> Answer {
        let plan = self.plan;
        match asked {
            LookupQuestion::Service { word, proto } => services(&word, proto.as_deref()),
            asked if plan.verify.is_some() => verify::answer(self, word, &asked),
            asked if plan.kind.is_some() => self.typed(word, &asked),
            LookupQuestion::Address(address) if plan.all && plan.via == LookupSource::System => {
                self.tuples(&getaddrinfo::format_ip(&address), 0)
            }
            LookupQuestion::Address(address) if plan.all => self.records_of_address(word, address),
            LookupQuestion::Address(address) => self.reverse(word, address),
            LookupQuestion::Host { name, port } => self.forward(&name, port.as_deref()),
        }
    }

    fn forward(&self, name: &str, port: Option<&str>) -> Answer {
        let number = match port.map_or(Ok(0), |port| resolver::port(port, "tcp")) {
            Ok(number) => number,
            Err(failure) => return Answer::failed(failure),
        };
        if self.plan.all {
            return match self.plan.via {
                LookupSource::Dns => self.records_of_host(name),
                _ => self.tuples(name, number),
            };
        }
        let told = |found: Vec<SocketAddr>| {
            let found: Vec<_> = found.into_iter().map(|address| at(address, number)).collect();
            format_addresses(&found, port.is_some())
        };
        if self.plan.via == LookupSource::Both {
            let views = (self.system_addresses(name), self.dns_addresses(name));
            return compare_views(name, views, same_address, told).into_addresses();
        }
        match self.addresses(name) {
            Ok(found) => {
                Answer::ok(LookupReport { addresses: Some(told(found)), ..LookupReport::default() })
            }
            Err(absence) => absence.answer(),
        }
    }

    /// The addresses of a name by whoever is asked.
    pub fn addresses(&self, name: &str) -> LookupResult<SocketAddr> {
        match self.plan.via {
            LookupSource::Dns => self.dns_addresses(name),
            _ => self.system_addresses(name),
        }
    }

    fn system_addresses(&self, name: &str) -> LookupResult<SocketAddr> {
        let found = getaddrinfo::addresses(name, self.plan.family)?;
        self.note(Note::Step(format!(
            "the system: {name}: {}",
            format_addresses(&found, false).join(", ")
        )));
        Ok(found)
    }

    fn tuples(&self, name: &str, port: u16) -> Answer {
        let found = match getaddrinfo::tuples(name, Some(&port.to_string()), self.plan.family) {
            Ok(found) => found,
            Err(failure) => return Answer::failed(failure),
        };
        let addresses: Vec<SocketAddr> = found.iter().map(|info| info.sockaddr).collect();
        let mut addresses = format_addresses(&addresses, false);
        addresses.dedup();
        let tuples = Some(found.into_iter().map(tuple).collect());
        Answer::ok(LookupReport { addresses: Some(addresses), tuples, ..LookupReport::default() })
    }

    fn reverse(&self, word: &str, address: SocketAddr) -> Answer {
        if self.plan.via == LookupSource::Both {
            let views = (self.system_names(word, address), self.dns_names(word, address));
            let same = |a: &String, b: &String| a.eq_ignore_ascii_case(b);
            return compare_views(word, views, same, |names| names).into_names();
        }
        match self.names(word, address) {
            Ok(names) => Answer::ok(LookupReport { names: Some(names), ..LookupReport::default() }),
            Err(absence) => absence.answer(),
        }
    }

    /// The names of an address. getnameinfo(3) returns one at most, so DNS is asked for the
    /// others unless the name is from the hosts file, whose line has its aliases (hosts(5)).
    /// `--verify` also asks DNS where the system finds no name, see [`Absence::or_else`].
    pub fn names(&self, word: &str, address: SocketAddr) -> LookupResult<String> {
        if self.plan.via == LookupSource::Dns {
            return self.dns_names(word, address);
        }
        let first = self.system_names(word, address);
        if hosts_file::lists_address(address.ip()) {
            let line = hosts_file::line_of(address.ip());
            return first.map(|names| match names.iter().all(|name| line.contains(name)) {
                true => merged(names, line),
                false => names,
            });
        }
        match first {
            Ok(names) if hosts_file::ask_dns() => {
                Ok(merged(names, self.further_names(word, address)))
            }
            Err(absence) if self.plan.verify.is_some() && hosts_file::ask_dns() => {
                absence.or_else(|| self.dns_names(word, address))
            }
            first => first,
        }
    }

    /// The names DNS adds to one that is known already; that it cannot tell is no failure.
    pub fn further_names(&self, word: &str, address: SocketAddr) -> Vec<String> {
        self.dns_names(word, address).unwrap_or_else(|absence| {
            self.note(Note::Step(format!("no further names: {}", absence.failure)));
            Vec::new()
        })
    }

    fn system_names(&self, word: &str, address: SocketAddr) -> LookupResult<String> {
        match getaddrinfo::name(address)? {
            Some(name) => {
                self.note(Note::Step(format!("the system: {word}: {name}")));
                Ok(vec![name])
            }
            None => Err(Failure::new(Phase::Resolve, word, "the address has no name").into()),
        }
    }
}

fn at(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

/// `names` and what `more` adds to them; names are equal in any case of letters.
pub fn merged(mut names: Vec<String>, more: Vec<String>) -> Vec<String> {
    for name in more {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            names.push(name);
        }
    }
    names
}
