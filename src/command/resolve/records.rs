//! The part of an inquiry that asks name servers: addresses, names, and records of any type.

use std::net::SocketAddr;

use super::answer::{Answer, Note, record};
use super::inquiry::{Inquiry, merged};
use super::plan::{Absence, Answers, Plan};
use super::question::Asked;
use crate::failure::{Failure, Stage};
use crate::net::dns::{self, Datum, Found, Kind, Question, Record, Told};
use crate::net::resolve::{Family, system};
use crate::report::resolved::Resolved;

impl Inquiry<'_> {
    /// The addresses DNS has for a name.
    pub fn dns_addresses(&self, name: &str, family: Family) -> Answers<SocketAddr> {
        if let Some(found) = system::numeric(name, family)? {
            return Ok(found);
        }
        let records = self.host_records(name, family)?;
        let addresses = records.iter().filter_map(|record| match record.datum {
            Datum::Address(ip) => Some(SocketAddr::new(ip, 0)),
            _ => None,
        });
        Ok(addresses.collect())
    }

    /// The names DNS has for an address, asked for as `word`, as the servers tell them.
    pub fn dns_names(&self, word: &str, address: SocketAddr) -> Answers<String> {
        let records = self.records(&Question::reverse(address.ip())?, word)?;
        let names = records.iter().filter(|record| record.kind == Kind::PTR);
        Ok(merged(Vec::new(), names.map(|record| record.datum.to_string()).collect()))
    }

    /// Everything DNS tells about the addresses of a name.
    pub fn records_of_host(&self, name: &str) -> Answer {
        match self.host_records(name, self.plan.family) {
            Ok(records) => Answer::ok(facts(&records, Kind::ANY, true)),
            Err(absence) => absence.answer(),
        }
    }

    /// The records of the type the user named.
    pub fn typed(&self, word: &str, asked: &Asked) -> Answer {
        let kind = self.plan.kind.unwrap_or(Kind::A);
        let question = match asked {
            Asked::Address(address) if kind == Kind::PTR => Question::reverse(address.ip()),
            Asked::Host { name, port: None } => Question::of(name, kind),
            _ => Question::of(word, kind),
        };
        match question.map_err(Absence::from).and_then(|q| self.records(&q, word)) {
            Ok(records) => Answer::ok(facts(&records, kind, self.plan.all || kind == Kind::ANY)),
            Err(absence) => absence.answer(),
        }
    }

    /// A and AAAA, as the family wants it; nothing is found only if neither is there.
    fn host_records(&self, name: &str, family: Family) -> Answers<Record> {
        let kinds = match family {
            Family::Any => &[Kind::A, Kind::AAAA][..],
            Family::V4 => &[Kind::A],
            Family::V6 => &[Kind::AAAA],
        };
        let (mut found, mut absent) = (Vec::new(), Vec::new());
        for &kind in kinds {
            match self.records(&Question::of(name, kind)?, name) {
                Ok(records) => found.extend(records),
                Err(absence) if absence.is_certain() => absent.push(absence),
                Err(absence) => return Err(absence),
            }
        }
        match absent.pop() {
            Some(absence) if found.is_empty() => {
                let nodata = |absence: &Absence| absence.status == Some(NODATA);
                let neither = nodata(&absence) && absent.iter().any(nodata);
                Err(if neither { no_data(name, "A or AAAA") } else { absence })
            }
            _ => Ok(found),
        }
    }

    /// The records of a question that the user asked as `word`; an absence says whether the name
    /// exists.
    fn records(&self, question: &Question, word: &str) -> Answers<Record> {
        let Plan { server, tcp, limit, .. } = self.plan;
        let servers = server.map_or_else(dns::configured, |server| Ok(vec![server]))?;
        let limit = limit.unwrap_or_default();
        let told =
            dns::ask_any(question, &servers, *tcp, self.until, limit).map_err(|mut failure| {
                failure.endpoint = word.to_string();
                failure
            })?;
        self.note(Note::Step(step(question, &told)));
        if !told.strays.is_empty() {
            let from = format!("{question}: while {} was asked", told.server);
            self.note(Note::Warning(format!("{from}, ignored {}", told.strays)));
        }
        let reply = told.reply;
        match reply.found {
            Found::NoName => Err(Absence {
                status: Some("nxdomain"),
                failure: Failure::new(Stage::Resolve, word, "no such name (NXDOMAIN)"),
            }),
            Found::NoData => Err(no_data(word, &question.kind.to_string())),
            _ => Ok(reply.records),
        }
    }
}

/// The status of a name without records of the wanted kinds.
const NODATA: &str = "nodata";

fn no_data(word: &str, kinds: &str) -> Absence {
    let why = format!("the name exists, without {kinds} records (NODATA)");
    Absence { status: Some(NODATA), failure: Failure::new(Stage::Resolve, word, why) }
}

fn step(question: &Question, told: &Told) -> String {
    let over = if told.tcp { "TCP" } else { "UDP" };
    let found = match told.reply.found {
        Found::NoName => "NXDOMAIN".to_string(),
        Found::NoData => "NODATA".to_string(),
        _ => format!("{} records", told.reply.records.len()),
    };
    let charge = if told.reply.authoritative { ", authoritative" } else { "" };
    format!("{} over {over}: {question}: {found}{charge}", told.server)
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
