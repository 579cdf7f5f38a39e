//! The result of one lookup, as text and as JSON.

use serde::Serialize;

pub use super::lookup_entries::{
    ForwardLookup, ForwardOutcome, LookupSource, Record, RecordFormat, ServiceEntry, Sockaddr,
    Tuple, View, shown,
};

/// The result of one question. Its fields are documented in `docs/json-events.md`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LookupReport {
    /// The question as the user wrote it.
    pub name: String,
    /// The kind of result.
    pub status: LookupStatus,
    /// The exit code of a run with this question only.
    pub code: u8,
    /// The addresses of a name, in the order of preference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// The names of an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// Services and their ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<ServiceEntry>>,
    /// The entries of `getaddrinfo(3)` (`--all`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuples: Option<Vec<Tuple>>,
    /// DNS records (`--type`, or `--all` with a name server).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<Vec<Record>>,
    /// Each answer with its source (`--via both`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<Vec<View>>,
    /// Each name of the address that `--verify` looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<ForwardLookup>>,
    /// The text of `--verify`, a line per address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// From the start of the lookup to its result.
    pub milliseconds: f64,
}

/// The kind of result of one question, in JSON as documented in `docs/json-events.md`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LookupStatus {
    /// The question has an answer.
    #[default]
    Ok,
    /// The system found no such name, or no name for the address.
    Absent,
    /// The name server answered that the name does not exist.
    #[serde(rename = "nxdomain")]
    NxDomain,
    /// The name server answered that the name has no record of this type.
    #[serde(rename = "nodata")]
    NoData,
    /// The system and DNS have different answers.
    Differs,
    /// The resolver or name server failed.
    Failing,
    /// No answer before the deadline.
    Timeout,
    /// The reply of the name server was malformed.
    Invalid,
    /// The question is malformed.
    Malformed,
    /// Any other failure.
    Failed,
    /// `--verify`: a name has the address.
    Validated,
    /// `--verify`: the address has no name.
    #[serde(rename = "none")]
    NoName,
    /// `--verify`: no name has the address.
    Mismatch,
    /// `--verify`: a name has no addresses.
    ForwardFailed,
}

impl LookupReport {
    /// Formats the result as lines of cells. Names are escaped; escapes of DNS stay as they are.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let cell = |text: &String| vec![shown(text)];
        match self {
            LookupReport { verdict: Some(verdict), .. } => {
                verdict.lines().map(|line| vec![line.to_string()]).collect()
            }
            // Without a verdict, the names that were looked up are not an answer.
            LookupReport { checks: Some(_), .. } => Vec::new(),
            LookupReport { tuples: Some(tuples), .. } => tuples.iter().map(Tuple::row).collect(),
            LookupReport { records: Some(records), .. } => {
                records.iter().filter_map(Record::row).collect()
            }
            LookupReport { views: Some(views), .. } => views.iter().map(View::row).collect(),
            LookupReport { services: Some(services), .. } => {
                services.iter().map(ServiceEntry::row).collect()
            }
            _ => self.addresses.iter().chain(&self.names).flatten().map(cell).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_cell_each() {
        let names = Some(vec!["a\x1b[2J\\027".to_string(), "b".into()]);
        let report = LookupReport { names, ..LookupReport::default() };
        assert_eq!(report.rows(), [["a\\x1b[2J\\027"], ["b"]]);
    }
}
