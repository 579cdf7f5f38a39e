//! The part of an inquiry that asks name servers: addresses, names, and records of any type.

use std::net::SocketAddr;

use super::answer::{Answer, Note, record};
use super::inquiry::{Inquiry, merged};
use super::plan::{Absence, Answers, Plan};
use super::question::Asked;
use crate::failure::{Code, Failure, Stage};
use crate::net::dns::{self, Datum, Found, Kind, Question, Record, Told};
use crate::net::resolve::{Family, system};
use crate::report::resolved::Resolved;

impl Inquiry<'_> {
    /// The addresses DNS has for a name.
    pub fn dns_addresses(&self, name: &str) -> Answers<SocketAddr> {
        if let Some(found) = system::numeric(name, self.plan.family)? {
            return Ok(found);
        }
        let records = self.host_records(name)?;
        let addresses = records.iter().filter_map(|record| match record.datum {
            Datum::Address(ip) => Some(SocketAddr::new(ip, 0)),
            _ => None,
        });
        Ok(addresses.collect())
    }

    /// Why DNS cannot tell whether a name exists, if it cannot.
    pub fn dns_failure(&self, name: &str) -> Option<Failure> {
        if !matches!(system::numeric(name, Family::Any), Ok(None)) {
            return None;
        }
        let kind = if self.plan.family == Family::V6 { Kind::AAAA } else { Kind::A };
        let question = Question::of(name, kind).ok()?;
        let absence = self.records(&question).err()?;
        (absence.failure.code == Code::TryAgain).then_some(absence.failure)
    }

    /// The names DNS has for an address, as the servers tell them.
    pub fn dns_names(&self, address: SocketAddr) -> Answers<String> {
        let records = self.records(&Question::reverse(address.ip())?)?;
        let names = records.iter().filter(|record| record.kind == Kind::PTR);
        Ok(merged(Vec::new(), names.map(|record| record.datum.to_string()).collect()))
    }

    /// Everything DNS tells about the addresses of a name.
    pub fn records_of_host(&self, name: &str) -> Answer {
        match self.host_records(name) {
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
        match question.map_err(Absence::from).and_then(|q| self.records(&q)) {
            Ok(records) => Answer::ok(facts(&records, kind, self.plan.all || kind == Kind::ANY)),
            Err(absence) => absence.answer(),
        }
    }

    /// A and AAAA, as the families want it; nothing is found only if neither is there.
    fn host_records(&self, name: &str) -> Answers<Record> {
        let kinds = match self.plan.family {
            Family::Any => &[Kind::A, Kind::AAAA][..],
            Family::V4 => &[Kind::A],
            Family::V6 => &[Kind::AAAA],
        };
        let (mut found, mut absent) = (Vec::new(), None);
        for &kind in kinds {
            match self.records(&Question::of(name, kind)?) {
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
    fn records(&self, question: &Question) -> Answers<Record> {
        let Plan { server, tcp, limit, .. } = self.plan;
        let servers = server.map_or_else(dns::configured, |server| Ok(vec![server]))?;
        let told = dns::ask_any(question, &servers, *tcp, self.until, limit.unwrap_or_default())?;
        self.note(Note::Step(step(question, &told)));
        if !told.strays.is_empty() {
            let from = format!("{question}: while {} was asked", told.server);
            self.note(Note::Warning(format!("{from}, ignored {}", told.strays)));
        }
        let reply = told.reply;
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
