//! Answers one question: services, plain lookups, and the choice between them and the others.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Instant;

use super::answer::{Answer, format_addresses, format_with_port, same_address, tuple};
use super::compare::compare;
use super::options::LookupOptions;
use super::query::Query;
use super::question::LookupQuestion;
use super::services::services;
use super::verify::verify;
use crate::report::lookup::{LookupReport, LookupSource};
use crate::resolver::{self, getaddrinfo};

/// Answers `question`, until `deadline`. An error is part of the answer.
pub fn resolve(options: &LookupOptions, question: &str, deadline: Option<Instant>) -> Answer {
    let notes = RefCell::default();
    let query = Query { options, deadline, notes: &notes };
    let answer = match LookupQuestion::parse(question) {
        Ok(parsed) => query.answer(question, parsed),
        Err(failure) => Answer::failed(failure),
    };
    Answer { notes: notes.into_inner(), ..answer }
}

impl Query<'_> {
    fn answer(&self, question: &str, parsed: LookupQuestion) -> Answer {
        let LookupOptions { all, source, .. } = *self.options;
        match parsed {
            LookupQuestion::Service { word, proto } => services(&word, proto.as_deref()),
            parsed if self.options.verify.is_some() => verify(self, question, &parsed),
            parsed if self.options.record_type.is_some() => self.typed_records(question, &parsed),
            LookupQuestion::Address(address) if all && source == LookupSource::System => {
                self.tuples(&getaddrinfo::format_ip(&address), 0)
            }
            LookupQuestion::Address(address) if all => self.records_of_address(question, address),
            LookupQuestion::Address(address) => self.reverse(question, address),
            LookupQuestion::Host { name, port } => self.forward(&name, port.as_deref()),
        }
    }

    fn forward(&self, name: &str, port: Option<&str>) -> Answer {
        let number = match port.map_or(Ok(0), |port| resolver::port(port, "tcp")) {
            Ok(number) => number,
            Err(failure) => return Answer::failed(failure),
        };
        match (self.options.all, self.options.source) {
            (true, LookupSource::Dns) => return self.records_of_host(name),
            (true, _) => return self.tuples(name, number),
            _ => (),
        }
        let format = |found: Vec<SocketAddr>| match port {
            None => format_addresses(&found),
            Some(_) => found.into_iter().map(|address| format_with_port(address, number)).collect(),
        };
        if self.options.source == LookupSource::Both {
            let both = (self.system_addresses(name), self.dns_addresses(name));
            return compare(name, both, same_address, format).into_addresses();
        }
        match self.addresses(name) {
            Ok(found) => {
                let addresses = Some(format(found));
                Answer::ok(LookupReport { addresses, ..LookupReport::default() })
            }
            Err(no_answer) => no_answer.into_answer(),
        }
    }

    fn tuples(&self, name: &str, port: u16) -> Answer {
        let found = match getaddrinfo::tuples(name, Some(&port.to_string()), self.options.family) {
            Ok(found) => found,
            Err(failure) => return Answer::failed(failure),
        };
        let addresses: Vec<SocketAddr> = found.iter().map(|info| info.sockaddr).collect();
        let mut addresses = format_addresses(&addresses);
        addresses.dedup();
        let tuples = Some(found.into_iter().map(tuple).collect());
        Answer::ok(LookupReport { addresses: Some(addresses), tuples, ..LookupReport::default() })
    }

    fn reverse(&self, question: &str, address: SocketAddr) -> Answer {
        if self.options.source == LookupSource::Both {
            let both = (self.system_names(question, address), self.dns_names(question, address));
            let same = |a: &String, b: &String| a.eq_ignore_ascii_case(b);
            return compare(question, both, same, |names| names).into_names();
        }
        match self.names(question, address) {
            Ok(names) => Answer::ok(LookupReport { names: Some(names), ..LookupReport::default() }),
            Err(no_answer) => no_answer.into_answer(),
        }
    }
}
