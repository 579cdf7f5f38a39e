//! The part of an inquiry that asks name servers: addresses, names, and records of any type.

use std::net::SocketAddr;

use super::answer::{Answer, Note, record};
use super::options::{LookupOptions, LookupResult, NoAnswer};
use super::query::{Query, merged};
use super::question::LookupQuestion;
use crate::error::{ExitCode, Failure, Phase};
use crate::report::lookup::LookupReport;
use crate::resolver::dns;
use crate::resolver::dns::{
    Answered, Outcome, Question, Record, RecordData, RecordType, SearchList,
};
use crate::resolver::{Family, getaddrinfo};

impl Query<'_> {
    /// The addresses DNS has for a name of the user, the search list applied.
    pub fn dns_addresses(&self, name: &str) -> LookupResult<SocketAddr> {
        let family = self.plan.family;
        if let Some(found) = getaddrinfo::numeric(name, family)? {
            return Ok(found);
        }
        let records = self.searched(name, |name| self.host_records(name, family))?;
        Ok(addresses_in(&records))
    }

    /// The addresses DNS has for a name of a record, which is complete.
    pub fn addresses_of_target(&self, name: &str, family: Family) -> LookupResult<SocketAddr> {
        Ok(addresses_in(&self.host_records(name, family)?))
    }

    /// The names DNS has for an address, asked for as `word`, as the servers tell them.
    pub fn dns_names(&self, word: &str, address: SocketAddr) -> LookupResult<String> {
        let records = self.pointers(word, address)?;
        let names = records.iter().filter(|record| record.kind == RecordType::PTR);
        Ok(merged(Vec::new(), names.map(|record| record.datum.to_string()).collect()))
    }

    /// Everything DNS tells about the addresses of a name.
    pub fn records_of_host(&self, name: &str) -> Answer {
        match self.searched(name, |name| self.host_records(name, self.plan.family)) {
            Ok(records) => Answer::ok(facts(&records, RecordType::ANY, true)),
            Err(absence) => absence.answer(),
        }
    }

    /// The whole records that DNS has for an address.
    pub fn records_of_address(&self, word: &str, address: SocketAddr) -> Answer {
        match self.pointers(word, address) {
            Ok(records) => Answer::ok(facts(&records, RecordType::PTR, true)),
            Err(absence) => absence.answer(),
        }
    }

    /// The records of the type the user named.
    pub fn typed(&self, word: &str, asked: &LookupQuestion) -> Answer {
        let kind = self.plan.kind.unwrap_or(RecordType::A);
        let records = match asked {
            LookupQuestion::Address(address) if kind == RecordType::PTR => {
                self.pointers(word, *address)
            }
            LookupQuestion::Host { name, port: None } => {
                self.searched(name, |name| self.of_kind(name, kind))
            }
            _ => self.searched(word, |word| self.of_kind(word, kind)),
        };
        match records {
            Ok(records) => {
                Answer::ok(facts(&records, kind, self.plan.all || kind == RecordType::ANY))
            }
            Err(absence) => absence.answer(),
        }
    }

    fn of_kind(&self, name: &str, kind: RecordType) -> LookupResult<Record> {
        self.records(&Question::of(name, kind)?, name, &kind.to_string())
    }

    /// The PTR records of an address that the user asked as `word`.
    fn pointers(&self, word: &str, address: SocketAddr) -> LookupResult<Record> {
        self.records(&Question::reverse(address.ip())?, word, "PTR")
    }

    /// A and AAAA, as the family wants it; nothing is found only if neither is there.
    fn host_records(&self, name: &str, family: Family) -> LookupResult<Record> {
        let (kinds, words) = match family {
            Family::Any => (&[RecordType::A, RecordType::AAAA][..], "A or AAAA"),
            Family::V4 => (&[RecordType::A][..], "A"),
            Family::V6 => (&[RecordType::AAAA][..], "AAAA"),
        };
        let (mut found, mut absent) = (Vec::new(), None);
        for &kind in kinds {
            match self.records(&Question::of(name, kind)?, name, words) {
                Ok(records) => found.extend(records),
                Err(absence) if absence.is_definitive() => absent = Some(absence),
                Err(failing) if found.is_empty() => return Err(failing),
                Err(NoAnswer { status, failure }) => {
                    let partly = (failure.code == ExitCode::TryAgain).then_some(PARTLY);
                    return Err(NoAnswer { status: partly.or(status), failure });
                }
            }
        }
        match absent {
            Some(absence) if found.is_empty() => Err(absence),
            _ => Ok(found),
        }
    }

    /// What the first one has of the names that the system would try for `name`; a server that the
    /// user named is asked for that very name. A failing server is passed over, as by the system,
    /// but never taken for an absence in the end.
    fn searched<T>(&self, name: &str, ask: impl Fn(&str) -> LookupResult<T>) -> LookupResult<T> {
        let candidates = match self.plan.server {
            Some(_) => vec![name.to_string()],
            None => SearchList::of_system()?.candidates(name),
        };
        let mut nothing = Vec::new();
        for candidate in &candidates {
            match ask(candidate).map_err(|absence| absence.of(name)) {
                Err(absence) if weight(&absence).is_some() => nothing.push(absence),
                answer => return answer,
            }
        }
        Err(nothing.into_iter().max_by_key(weight).unwrap_or_else(|| no_data(name, "any", "")))
    }

    /// The records of a question that the user asked as `word`; an absence says whether the name
    /// exists, and names the `kinds` that were wanted of it.
    fn records(&self, question: &Question, word: &str, kinds: &str) -> LookupResult<Record> {
        if let Some(records) = dns::local_records(question) {
            self.note(Note::Step(format!(
                "{question}: not asked, as it is this machine (RFC 6761)"
            )));
            let nothing = records.is_empty().then(|| no_data(word, kinds, ""));
            return nothing.map_or(Ok(records), Err);
        }
        let Answered { reply, server, .. } = self.ask(question, word)?;
        let reasons = reply.reasons();
        match reply.found {
            Outcome::NxDomain => {
                let why = format!("no such name (NXDOMAIN){reasons}");
                let failure = Failure::new(Phase::Resolve, word, why);
                Err(NoAnswer { status: Some("nxdomain"), failure })
            }
            Outcome::NoData => Err(no_data(word, kinds, &reasons)),
            _ => {
                if !reasons.is_empty() {
                    self.note(Note::Warning(format!("{question}: answer of {server}{reasons}")));
                }
                Ok(reply.records)
            }
        }
    }

    fn ask(&self, question: &Question, word: &str) -> Result<Answered, Failure> {
        let LookupOptions { server, tcp, limit, .. } = self.plan;
        let servers = server.map_or_else(dns::configured, |server| Ok(vec![server]))?;
        let limit = limit.unwrap_or_default();
        let told = dns::query_any(question, &servers, *tcp, self.until, limit).map_err(
            |mut failure| {
                failure.endpoint = word.to_string();
                failure
            },
        )?;
        self.note(Note::Step(step(question, &told)));
        if !told.strays.is_empty() {
            let from = format!("{question}: while {} was asked", told.server);
            self.note(Note::Warning(format!("{from}, ignored {}", told.strays)));
        }
        Ok(told)
    }
}

/// The status of a name without records of the wanted kinds.
const NODATA: &str = "nodata";
/// The status of a name with records of one kind, where the server fails for the other one.
const PARTLY: &str = "failing";

fn no_data(word: &str, kinds: &str, reasons: &str) -> NoAnswer {
    let why = format!("the name exists, without {kinds} records (NODATA){reasons}");
    NoAnswer { status: Some(NODATA), failure: Failure::new(Phase::Resolve, word, why) }
}

/// What it counts that one name of a search list has no answer; `None` ends the search.
fn weight(absence: &NoAnswer) -> Option<u8> {
    match (absence.failure.code, absence.status) {
        (ExitCode::TryAgain, None) => Some(2),
        (ExitCode::Resolve, Some(NODATA)) => Some(1),
        (ExitCode::Resolve, _) => Some(0),
        _ => None,
    }
}

fn addresses_in(records: &[Record]) -> Vec<SocketAddr> {
    let address = |record: &Record| match record.datum {
        RecordData::Address(ip) => Some(SocketAddr::new(ip, 0)),
        _ => None,
    };
    records.iter().filter_map(address).collect()
}

fn step(question: &Question, told: &Answered) -> String {
    let over = if told.tcp { "TCP" } else { "UDP" };
    let found = match told.reply.found {
        Outcome::NxDomain => "NXDOMAIN".to_string(),
        Outcome::NoData => "NODATA".to_string(),
        _ => format!("{} records", told.reply.records.len()),
    };
    let charge = if told.reply.authoritative { ", authoritative" } else { "" };
    format!("{} over {over}: {question}: {found}{charge}", told.server)
}

fn facts(records: &[Record], kind: RecordType, whole: bool) -> LookupReport {
    let of_kind = || records.iter().filter(|record| record.kind == kind || kind == RecordType::ANY);
    let texts = |wanted: fn(&RecordData) -> bool| {
        let datums = of_kind().map(|record| &record.datum).filter(|datum| wanted(datum));
        let texts: Vec<String> = datums.map(RecordData::to_string).collect();
        (!texts.is_empty()).then_some(texts)
    };
    LookupReport {
        addresses: texts(|datum| matches!(datum, RecordData::Address(_))),
        names: texts(|datum| matches!(datum, RecordData::Name(_))),
        records: Some(records.iter().map(|r| record(r, kind, whole)).collect()),
        ..LookupReport::default()
    }
}
