//! Answers of name servers as records: `--type`, and `--all`.

use std::net::SocketAddr;

use super::answer::{Answer, record};
use super::no_answer::NoAnswer;
use super::query::Query;
use super::question::LookupQuestion;
use crate::report::event::lookup::{LookupReport, RecordFormat};
use crate::resolver::dns::{RecordData, RecordType, ResourceRecord};

impl Query<'_> {
    /// Returns the address records of a name in full.
    pub fn records_of_host(&self, name: &str) -> Result<Answer, NoAnswer> {
        let records = self.search(name, |name| self.host_records(name, self.options.family))?;
        Ok(answer(&records, RecordType::ANY, RecordFormat::Full))
    }

    /// Returns the PTR records of an address in full.
    pub fn records_of_address(
        &self,
        target: &str,
        address: SocketAddr,
    ) -> Result<Answer, NoAnswer> {
        let records = self.ptr_records(target, address)?;
        Ok(answer(&records, RecordType::PTR, RecordFormat::Full))
    }

    /// Returns the records of type `--type`.
    pub fn typed_records(&self, target: &str, parsed: &LookupQuestion) -> Result<Answer, NoAnswer> {
        let kind = self.options.record_type.unwrap_or(RecordType::A);
        let records = match parsed {
            LookupQuestion::Address(address) if kind == RecordType::PTR => {
                self.ptr_records(target, *address)
            }
            LookupQuestion::Host { name, port: None } => {
                self.search(name, |name| self.records_of_type(name, kind))
            }
            _ => self.search(target, |name| self.records_of_type(name, kind)),
        }?;
        let is_full = self.options.all || kind == RecordType::ANY;
        let format = if is_full { RecordFormat::Full } else { RecordFormat::Data };
        Ok(answer(&records, kind, format))
    }
}

/// Lists records of type `kind` in `format`, and the addresses and names in them.
fn answer(records: &[ResourceRecord], kind: RecordType, format: RecordFormat) -> Answer {
    let is_wanted = |record: &ResourceRecord| record.kind == kind || kind == RecordType::ANY;
    let texts = |has_form: fn(&RecordData) -> bool| {
        let wanted = records.iter().filter(|record| is_wanted(record) && has_form(&record.data));
        let texts: Vec<String> = wanted.map(|record| record.data.to_string()).collect();
        (!texts.is_empty()).then_some(texts)
    };
    let format_of = |record: &ResourceRecord| match format {
        RecordFormat::Data if record.kind != kind => RecordFormat::Hidden,
        format => format,
    };
    Answer::ok(LookupReport {
        addresses: texts(|data| matches!(data, RecordData::Address(_))),
        names: texts(|data| matches!(data, RecordData::Name(_))),
        records: Some(records.iter().map(|r| record(r, format_of(r))).collect()),
        ..LookupReport::default()
    })
}
