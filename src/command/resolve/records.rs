//! The part of a plan that asks name servers: addresses, names, and records of any type.

use std::net::SocketAddr;
use std::time::Instant;

use super::answer::{Answer, record};
use super::plan::{Absence, Answers, Plan, merged};
use super::question::Asked;
use crate::failure::{Failure, Stage};
use crate::net::dns::{self, Datum, Found, Kind, Question, Record};
use crate::net::resolve::{Family, system};
use crate::report::resolved::Resolved;

impl Plan {
    /// The addresses DNS has for a name.
    pub fn dns_addresses(&self, name: &str, until: Option<Instant>) -> Answers<SocketAddr> {
        if let Some(found) = system::numeric(name, self.family)? {
            return Ok(found);
        }
        let records = self.host_records(name, until)?;
        let addresses = records.iter().filter_map(|record| match record.datum {
            Datum::Address(ip) => Some(SocketAddr::new(ip, 0)),
            _ => None,
        });
        Ok(addresses.collect())
    }

    /// The names DNS has for an address, as the servers tell them.
    pub fn dns_names(&self, address: SocketAddr, until: Option<Instant>) -> Answers<String> {
        let records = self.records(&Question::reverse(address.ip())?, until)?;
        let names = records.iter().filter(|record| record.kind == Kind::PTR);
        Ok(merged(Vec::new(), names.map(|record| record.datum.to_string()).collect()))
    }

    /// Everything DNS tells about the addresses of a name.
    pub fn records_of_host(&self, name: &str, until: Option<Instant>) -> Answer {
        match self.host_records(name, until) {
            Ok(records) => Answer::ok(facts(&records, Kind::ANY, true)),
            Err(absence) => absence.answer(),
        }
    }

    /// The records of the type the user named.
    pub fn typed(&self, word: &str, asked: &Asked, until: Option<Instant>) -> Answer {
        let kind = self.kind.unwrap_or(Kind::A);
        let question = match asked {
            Asked::Address(address) if kind == Kind::PTR => Question::reverse(address.ip()),
            Asked::Host { name, port: None } => Question::of(name, kind),
            _ => Question::of(word, kind),
        };
        match question.map_err(Absence::from).and_then(|q| self.records(&q, until)) {
            Ok(records) => Answer::ok(facts(&records, kind, self.all || kind == Kind::ANY)),
            Err(absence) => absence.answer(),
        }
    }

    /// A and AAAA, as the families want it; nothing is found only if neither is there.
    fn host_records(&self, name: &str, until: Option<Instant>) -> Answers<Record> {
        let kinds = match self.family {
            Family::Any => &[Kind::A, Kind::AAAA][..],
            Family::V4 => &[Kind::A],
            Family::V6 => &[Kind::AAAA],
        };
        let (mut found, mut absent) = (Vec::new(), None);
        for &kind in kinds {
            match self.records(&Question::of(name, kind)?, until) {
                Ok(records) => found.extend(records),
                Err(absence) if absence.is_certain() => absent = Some(absence),
                Err(absence) => return Err(absence),
            }
        }
        match absent {
            Some(absence) if found.is_empty() => Err(absence),
            _ => Ok(found),
        }
    }

    /// The records of a question; an absence says whether the name exists.
    fn records(&self, question: &Question, until: Option<Instant>) -> Answers<Record> {
        let limit = self.limit.unwrap_or_default();
        let reply = dns::ask_any(question, &self.servers, self.tcp, until, limit)?;
        let absent = |status, why: String| Absence {
            status: Some(status),
            failure: Failure::new(Stage::Resolve, &question.name, why),
        };
        match reply.found {
            Found::NoName => Err(absent("nxdomain", "no such name (NXDOMAIN)".into())),
            Found::NoData => {
                let why = format!("the name exists, without {} records (NODATA)", question.kind);
                Err(absent("nodata", why))
            }
            _ => Ok(reply.records),
        }
    }
}

fn facts(records: &[Record], kind: Kind, whole: bool) -> Resolved {
    let of_kind = || records.iter().filter(|record| record.kind == kind || kind == Kind::ANY);
    let texts = |wanted: fn(&Datum) -> bool| {
        let datums = of_kind().map(|record| &record.datum).filter(|datum| wanted(datum));
        let texts: Vec<String> = datums.map(Datum::to_string).collect();
        (!texts.is_empty()).then_some(texts)
    };
    Resolved {
        addresses: texts(|datum| matches!(datum, Datum::Address(_))),
        names: texts(|datum| matches!(datum, Datum::Name(_))),
        records: Some(records.iter().map(|r| record(r, kind, whole)).collect()),
        ..Resolved::default()
    }
}
