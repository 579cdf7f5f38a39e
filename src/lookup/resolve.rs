//! Answers one question: services, plain lookups, and the choice between them and the others.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Instant;

use super::answer::{Answer, format_addresses, format_with_port, same_address, tuple};
use super::compare::compare;
use super::no_answer::NoAnswer;
use super::options::LookupOptions;
use super::query::Query;
use super::question::LookupQuestion;
use super::services::services;
use super::verify::verify;
use crate::report::event::lookup::{LookupReport, LookupSource};
use crate::resolver::{self, getaddrinfo};

/// Answers `question`, until `deadline`. An error is part of the answer.
pub fn resolve(options: &LookupOptions, question: &str, deadline: Option<Instant>) -> Answer {
    let notes = RefCell::default();
    let query = Query { options, deadline, notes: &notes };
    let parsed = LookupQuestion::parse(question).map_err(NoAnswer::from);
    let answer = parsed.and_then(|parsed| query.answer(question, parsed));
    Answer { notes: notes.into_inner(), ..answer.unwrap_or_else(Answer::from) }
}

impl Query<'_> {
    fn answer(&self, question: &str, parsed: LookupQuestion) -> Result<Answer, NoAnswer> {
        let LookupOptions { all, source, .. } = *self.options;
        match parsed {
            LookupQuestion::Service { word, proto } => Ok(services(&word, proto.as_deref())?),
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

    fn forward(&self, name: &str, port: Option<&str>) -> Result<Answer, NoAnswer> {
        let number = port.map_or(Ok(0), |port| resolver::port(port, "tcp"))?;
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
            return Ok(compare(name, both, same_address, format).into_addresses());
        }
        let addresses = Some(format(self.addresses(name)?));
        Ok(Answer::ok(LookupReport { addresses, ..LookupReport::default() }))
    }

    fn tuples(&self, name: &str, port: u16) -> Result<Answer, NoAnswer> {
        let found = getaddrinfo::tuples(name, Some(&port.to_string()), self.options.family)?;
        let addresses: Vec<SocketAddr> = found.iter().map(|info| info.sockaddr).collect();
        let mut addresses = format_addresses(&addresses);
        addresses.dedup();
        let (addresses, tuples) = (Some(addresses), Some(found.into_iter().map(tuple).collect()));
        Ok(Answer::ok(LookupReport { addresses, tuples, ..LookupReport::default() }))
    }

    fn reverse(&self, question: &str, address: SocketAddr) -> Result<Answer, NoAnswer> {
        if self.options.source == LookupSource::Both {
            let both = (self.system_names(question, address), self.dns_names(question, address));
            let same = |a: &String, b: &String| a.eq_ignore_ascii_case(b);
            return Ok(compare(question, both, same, |names| names).into_names());
        }
        let names = Some(self.names(question, address)?);
        Ok(Answer::ok(LookupReport { names, ..LookupReport::default() }))
    }
}
