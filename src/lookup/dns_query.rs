//! Lookups by name servers: addresses, names, and records of any type.

use std::net::SocketAddr;

use super::answer::Note;
use super::no_answer::{LookupResult, NoAnswer};
use super::query::{Query, merge_names};
use crate::error::{ExitCode, Failure, Phase};
use crate::report::event::lookup::LookupStatus;
use crate::resolver::dns;
use crate::resolver::dns::{
    Outcome, QueryOptions, Question, ReceivedResponse, RecordData, RecordType, ResourceRecord,
    SearchList,
};
use crate::resolver::{Family, getaddrinfo};

impl Query<'_> {
    /// Returns the addresses that DNS has for a name of the user; the search list is applied.
    pub fn dns_addresses(&self, name: &str) -> LookupResult<SocketAddr> {
        let family = self.options.family;
        if let Some(found) = getaddrinfo::numeric(name, family)? {
            return Ok(found);
        }
        let records = self.search(name, |name| self.host_records(name, family))?;
        Ok(addresses_in(&records))
    }

    /// Returns the addresses that DNS has for the name in a record, which is complete.
    pub fn addresses_of_target(&self, name: &str, family: Family) -> LookupResult<SocketAddr> {
        Ok(addresses_in(&self.host_records(name, family)?))
    }

    /// Returns the names that DNS has for an address.
    pub fn dns_names(&self, target: &str, address: SocketAddr) -> LookupResult<String> {
        let records = self.ptr_records(target, address)?;
        let names = records.iter().filter(|record| record.kind == RecordType::PTR);
        Ok(merge_names(Vec::new(), names.map(|record| record.data.to_string()).collect()))
    }

    /// Returns the records of type `kind` of a name.
    pub fn records_of_type(&self, name: &str, kind: RecordType) -> LookupResult<ResourceRecord> {
        self.records(&Question::of(name, kind)?, name, &kind.to_string())
    }

    /// Returns the PTR records of an address.
    pub fn ptr_records(&self, target: &str, address: SocketAddr) -> LookupResult<ResourceRecord> {
        self.records(&Question::reverse(address.ip())?, target, "PTR")
    }

    /// Returns the A and AAAA records of a name, as `family` requires. The name has no answer only if
    /// it has records of neither type.
    pub fn host_records(&self, name: &str, family: Family) -> LookupResult<ResourceRecord> {
        let (kinds, wanted) = match family {
            Family::Any => (&[RecordType::A, RecordType::AAAA][..], "A or AAAA"),
            Family::V4 => (&[RecordType::A][..], "A"),
            Family::V6 => (&[RecordType::AAAA][..], "AAAA"),
        };
        let (mut found, mut absent) = (Vec::new(), None);
        for &kind in kinds {
            match self.records(&Question::of(name, kind)?, name, wanted) {
                Ok(records) => found.extend(records),
                Err(no_answer) if no_answer.is_definitive() => absent = Some(no_answer),
                Err(failed) if found.is_empty() => return Err(failed),
                Err(NoAnswer { status, failure }) => {
                    let partial = (failure.code == ExitCode::TryAgain).then_some(PARTIAL);
                    return Err(NoAnswer { status: partial.or(status), failure });
                }
            }
        }
        match absent {
            Some(no_answer) if found.is_empty() => Err(no_answer),
            _ => Ok(found),
        }
    }

    /// Queries the names that the system would try for `name` until one has an answer; `--server`
    /// disables the search list. A name whose server fails is skipped, as by the system, but the
    /// failure is returned if no other name has an answer.
    pub fn search<T>(
        &self,
        name: &str,
        query: impl Fn(&str) -> LookupResult<T>,
    ) -> LookupResult<T> {
        let candidates = match self.options.server {
            Some(_) => vec![name.to_string()],
            None => SearchList::of_system()?.candidates(name),
        };
        let mut skipped = Vec::new();
        for candidate in &candidates {
            match query(candidate).map_err(|no_answer| no_answer.of_question(name)) {
                Err(no_answer) if search_rank(&no_answer).is_some() => skipped.push(no_answer),
                result => return result,
            }
        }
        Err(skipped.into_iter().max_by_key(search_rank).unwrap_or_else(|| no_data(name, "any", "")))
    }

    /// Returns the records of a question; without any, the status is whether the name exists, and the
    /// message names the `wanted` types.
    fn records(
        &self,
        question: &Question,
        target: &str,
        wanted: &str,
    ) -> LookupResult<ResourceRecord> {
        if let Some(records) = dns::local_records(question) {
            self.note(Note::Step(format!("{question}: not queried, resolved locally (RFC 6761)")));
            let is_empty = records.is_empty();
            return if is_empty { Err(no_data(target, wanted, "")) } else { Ok(records) };
        }
        let ReceivedResponse { response, server, .. } = self.query_servers(question, target)?;
        let suffix = response.explanation_suffix();
        match response.outcome {
            Outcome::NxDomain => {
                let cause = format!("no such name (NXDOMAIN){suffix}");
                let failure = Failure::new(Phase::Resolve, target, cause);
                Err(NoAnswer { status: Some(LookupStatus::NxDomain), failure })
            }
            Outcome::NoData => Err(no_data(target, wanted, &suffix)),
            _ => {
                if !suffix.is_empty() {
                    self.note(Note::Warning(format!("{question}: answer of {server}{suffix}")));
                }
                Ok(response.records)
            }
        }
    }

    fn query_servers(
        &self,
        question: &Question,
        target: &str,
    ) -> Result<ReceivedResponse, Failure> {
        let servers =
            self.options.server.map_or_else(dns::configured, |server| Ok(vec![server]))?;
        let options = QueryOptions {
            tcp_only: self.options.tcp,
            deadline: self.deadline,
            timeout: self.options.timeout.unwrap_or_default(),
        };
        let names: Vec<String> = servers.iter().map(SocketAddr::to_string).collect();
        self.note(Note::Traffic(format!("> {question} to {}", names.join(" or "))));
        let received = dns::query_any(question, &servers, options).map_err(|mut failure| {
            failure.target = target.to_string();
            failure
        })?;
        for record in &received.response.records {
            self.note(Note::Traffic(format!(
                "< {} {} {} {}",
                record.owner, record.ttl, record.kind, record.data
            )));
        }
        self.note(Note::Step(step(question, &received)));
        if !received.mismatches.is_empty() {
            let ReceivedResponse { server, mismatches, .. } = &received;
            let ignored = format!("{question}: before the reply of {server}, ignored {mismatches}");
            self.note(Note::Warning(ignored));
        }
        Ok(received)
    }
}

/// The status of a name with records of one type, if the server failed for the other one.
const PARTIAL: LookupStatus = LookupStatus::Failing;

fn no_data(target: &str, wanted: &str, suffix: &str) -> NoAnswer {
    let cause = format!("the name exists, without {wanted} records (NODATA){suffix}");
    let failure = Failure::new(Phase::Resolve, target, cause);
    NoAnswer { status: Some(LookupStatus::NoData), failure }
}

/// Returns the precedence of an error among the names of a search list; `None` ends the search.
fn search_rank(no_answer: &NoAnswer) -> Option<u8> {
    match (no_answer.failure.code, no_answer.status) {
        (ExitCode::TryAgain, None) => Some(2),
        (ExitCode::Resolve, Some(LookupStatus::NoData)) => Some(1),
        (ExitCode::Resolve, _) => Some(0),
        _ => None,
    }
}

fn addresses_in(records: &[ResourceRecord]) -> Vec<SocketAddr> {
    let address = |record: &ResourceRecord| match record.data {
        RecordData::Address(ip) => Some(SocketAddr::new(ip, 0)),
        _ => None,
    };
    records.iter().filter_map(address).collect()
}

fn step(question: &Question, received: &ReceivedResponse) -> String {
    let ReceivedResponse { response, server, .. } = received;
    let protocol = if received.tcp { "TCP" } else { "UDP" };
    let result = match response.outcome {
        Outcome::NxDomain => "NXDOMAIN".to_string(),
        Outcome::NoData => "NODATA".to_string(),
        _ => format!("{} records", response.records.len()),
    };
    let suffix = if response.authoritative { ", authoritative" } else { "" };
    format!("{server} over {protocol}: {question}: {result}{suffix}")
}
