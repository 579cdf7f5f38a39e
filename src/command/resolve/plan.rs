//! How one question is answered: by the system, by DNS, or by both.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::answer::{Answer, same, texts, tuple};
use super::both::both;
use super::question::Asked;
use super::services::services;
use super::verify;
use crate::failure::{Code, Failure, Stage};
use crate::net::dns::Kind;
use crate::net::resolve::{self, Family, files, system};
use crate::report::resolved::Resolved;

/// Whose word is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Via {
    /// The C library's: hosts file, nsswitch and DNS, as programs see it
    System,
    /// A name server's alone
    Dns,
    /// Both, compared
    Both,
}

/// Everything a question needs besides itself; shared by all workers.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which families.
    pub family: Family,
    /// Whose word.
    pub via: Via,
    /// The servers to ask, one after another.
    pub servers: Vec<SocketAddr>,
    /// A record type instead of addresses or names.
    pub kind: Option<Kind>,
    /// TCP from the start.
    pub tcp: bool,
    /// Everything there is to tell.
    pub all: bool,
    /// Reverse, forward, compare.
    pub verify: Option<verify::Rigour>,
    /// The time each question has.
    pub limit: Option<Duration>,
}

/// What a name or an address has, or why there is nothing.
pub type Answers<T> = Result<Vec<T>, Absence>;

/// Why there is nothing.
#[derive(Debug)]
pub struct Absence {
    /// The word for JSON, where the failure's code does not say it all.
    pub status: Option<&'static str>,
    /// The failure to tell.
    pub failure: Failure,
}

impl From<Failure> for Absence {
    fn from(failure: Failure) -> Absence {
        Absence { status: None, failure }
    }
}

impl Absence {
    /// The answer it makes.
    pub fn answer(self) -> Answer {
        match self.status {
            Some(status) => Answer::failed_as(status, self.failure),
            None => Answer::failed(self.failure),
        }
    }

    /// Whether it is known that there is nothing, and not only unknown what there is.
    pub fn is_certain(&self) -> bool {
        self.failure.code == Code::Resolve
    }
}

impl Plan {
    /// Answers `word`, as far as it can be known until `until`.
    pub fn answer(&self, word: &str, until: Option<Instant>) -> Answer {
        let asked = match Asked::read(word) {
            Ok(asked) => asked,
            Err(failure) => return Answer::failed(failure),
        };
        match asked {
            Asked::Service { word, proto } => services(&word, proto.as_deref()),
            asked if self.verify.is_some() => verify::answer(self, word, &asked, until),
            asked if self.kind.is_some() => self.typed(word, &asked, until),
            Asked::Address(address) if self.all && self.via == Via::System => {
                self.tuples(&texts(&[address], false).concat(), 0).wanting(true)
            }
            Asked::Address(address) => self.reverse(word, address, until).wanting(false),
            Asked::Host { name, port } => self.forward(&name, port.as_deref(), until).wanting(true),
        }
    }

    fn forward(&self, name: &str, port: Option<&str>, until: Option<Instant>) -> Answer {
        let number = match port.map_or(Ok(0), |port| resolve::port(port, "tcp")) {
            Ok(number) => number,
            Err(failure) => return Answer::failed(failure),
        };
        if self.all {
            return match self.via {
                Via::Dns => self.records_of_host(name, until),
                _ => self.tuples(name, number),
            };
        }
        let told = |found: Vec<SocketAddr>| {
            let found: Vec<_> = found.into_iter().map(|address| at(address, number)).collect();
            texts(&found, port.is_some())
        };
        if self.via == Via::Both {
            let views = (self.system_addresses(name), self.dns_addresses(name, until));
            return both(name, views, same, told).into_addresses();
        }
        match self.addresses(name, until) {
            Ok(found) => {
                Answer::ok(Resolved { addresses: Some(told(found)), ..Resolved::default() })
            }
            Err(absence) => absence.answer(),
        }
    }

    /// The addresses of a name by whoever is asked.
    pub fn addresses(&self, name: &str, until: Option<Instant>) -> Answers<SocketAddr> {
        match self.via {
            Via::Dns => self.dns_addresses(name, until),
            _ => self.system_addresses(name),
        }
    }

    fn system_addresses(&self, name: &str) -> Answers<SocketAddr> {
        Ok(system::addresses(name, self.family)?)
    }

    fn tuples(&self, name: &str, port: u16) -> Answer {
        let found = match system::tuples(name, Some(&port.to_string()), self.family) {
            Ok(found) => found,
            Err(failure) => return Answer::failed(failure),
        };
        let addresses: Vec<SocketAddr> = found.iter().map(|info| info.sockaddr).collect();
        let mut addresses = texts(&addresses, false);
        addresses.dedup();
        let tuples = Some(found.into_iter().map(tuple).collect());
        Answer::ok(Resolved { addresses: Some(addresses), tuples, ..Resolved::default() })
    }

    fn reverse(&self, word: &str, address: SocketAddr, until: Option<Instant>) -> Answer {
        if self.via == Via::Both {
            let views = (system_names(word, address), self.dns_names(address, until));
            let same = |a: &String, b: &String| a.eq_ignore_ascii_case(b);
            return both(word, views, same, |names| names).into_names();
        }
        match self.names(word, address, until) {
            Ok(names) => Answer::ok(Resolved { names: Some(names), ..Resolved::default() }),
            Err(absence) => absence.answer(),
        }
    }

    /// The names of an address. The C library gives one at most, and takes some failures of a
    /// server (FORMERR) for an absence; so where the hosts file has no say, DNS is asked for
    /// all of them.
    pub fn names(
        &self,
        word: &str,
        address: SocketAddr,
        until: Option<Instant>,
    ) -> Answers<String> {
        if self.via == Via::Dns {
            return self.dns_names(address, until);
        }
        let first = system_names(word, address);
        if files::lists(address.ip()) || !files::ask_dns() {
            return first;
        }
        match first {
            Err(absence) if absence.is_certain() => match self.dns_names(address, until) {
                Err(unknown) if unknown.is_certain() => Err(absence),
                told => told,
            },
            Ok(names) => Ok(merged(names, self.dns_names(address, until).unwrap_or_default())),
            failing => failing,
        }
    }
}

fn at(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

fn system_names(word: &str, address: SocketAddr) -> Answers<String> {
    match system::name(address)? {
        Some(name) => Ok(vec![name]),
        None => Err(Failure::new(Stage::Resolve, word, "the address has no name").into()),
    }
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
