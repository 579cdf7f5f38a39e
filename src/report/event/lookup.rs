//! The result of one lookup, as text and as JSON.

use std::fmt;

use serde::Serialize;

use crate::report::escape::escape_keep_backslash;

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
    pub checks: Option<Vec<Check>>,
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
    None,
    /// `--verify`: no name has the address.
    Mismatch,
    /// `--verify`: a name has no addresses.
    ForwardFailed,
}

/// Where answers are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LookupSource {
    /// The C library: hosts file, nsswitch and DNS.
    System,
    /// Name servers.
    Dns,
    /// Both, compared.
    Both,
}

/// The result of the forward lookup of a name of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcome {
    /// The name has the address.
    Confirmed,
    /// The name has other addresses only.
    Elsewhere,
    /// The name has no addresses.
    Unresolved,
    /// The name is an address itself and was not looked up.
    Refused,
    /// The resolver or name server failed.
    Failing,
    /// No answer before the deadline.
    Timeout,
    /// The reply of the name server was malformed.
    Invalid,
}

impl fmt::Display for LookupSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl fmt::Display for CheckOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// An entry of services(5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceEntry {
    /// Its name.
    pub service: String,
    /// Its port.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
}

/// An entry of `getaddrinfo(3)`, with the fields and the order of Python's `socket.getaddrinfo`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tuple {
    /// `AF_INET`, `AF_INET6`.
    pub family: String,
    /// `SOCK_STREAM`, `SOCK_DGRAM`, `SOCK_RAW`.
    pub socktype: String,
    /// The protocol number: 6 TCP, 17 UDP, 0 any.
    pub proto: i32,
    /// The canonical name; empty except in the first entry.
    pub canonname: String,
    /// Address and port; for IPv6 also flow information and scope ID.
    pub sockaddr: Sockaddr,
}

/// A socket address, as a JSON list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Sockaddr {
    /// Address, port.
    V4(String, u16),
    /// Address, port, flow information, scope ID.
    V6(String, u16, u32, u32),
}

/// A DNS record, and how its line is printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// The owner name.
    pub owner: String,
    /// Time to live, in seconds.
    pub ttl: u32,
    /// `A`, `MX`, ….
    #[serde(rename = "type")]
    pub kind: String,
    /// The data in presentation format (RFC 1035 §5.1).
    pub data: String,
    /// What is printed of it; not in JSON.
    #[serde(skip)]
    pub format: RecordFormat,
}

/// What the text output has of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFormat {
    /// Owner, time to live, type and data: `--type ANY`, `--all`.
    Full,
    /// The data.
    Data,
    /// Nothing: an alias of the queried name.
    Hidden,
}

/// An answer and its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct View {
    /// The source.
    pub via: LookupSource,
    /// The address or name; `None` if the source has no answer.
    pub answer: Option<String>,
    /// Why it has no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// The forward lookup of one name by `--verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The address that has this name.
    pub address: String,
    /// The name.
    pub name: String,
    /// The result.
    pub outcome: CheckOutcome,
    /// The addresses of the name.
    pub addresses: Vec<String>,
    /// Why it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
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

impl Tuple {
    fn row(&self) -> Vec<String> {
        let sockaddr = match &self.sockaddr {
            Sockaddr::V4(ip, port) => format!("('{ip}', {port})"),
            Sockaddr::V6(ip, port, flow, scope) => format!("('{ip}', {port}, {flow}, {scope})"),
        };
        let (family, socktype) = (self.family.clone(), self.socktype.clone());
        vec![family, socktype, self.proto.to_string(), shown(&self.canonname), sockaddr]
    }
}

impl Record {
    fn row(&self) -> Option<Vec<String>> {
        let data = shown(&self.data);
        match self.format {
            RecordFormat::Full => {
                Some(vec![shown(&self.owner), self.ttl.to_string(), self.kind.clone(), data])
            }
            RecordFormat::Data => Some(vec![data]),
            RecordFormat::Hidden => None,
        }
    }
}

impl View {
    /// A source without an answer has a line too, with `-`.
    fn row(&self) -> Vec<String> {
        vec![self.via.to_string(), shown(self.answer.as_deref().unwrap_or("-"))]
    }
}

impl ServiceEntry {
    fn row(&self) -> Vec<String> {
        vec![shown(&self.service), format!("{}/{}", self.port, self.protocol)]
    }
}

/// Escapes a name for the terminal, except backslashes, which are escapes of DNS names.
pub fn shown(name: &str) -> String {
    escape_keep_backslash(name).into_owned()
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

    #[test]
    fn aliases_are_printed_only_with_full_records() {
        let alias = Record {
            owner: "a.test".into(),
            ttl: 60,
            kind: "CNAME".into(),
            data: "b.test".into(),
            format: RecordFormat::Hidden,
        };
        assert_eq!(alias.row(), None);
        let full = Record { format: RecordFormat::Full, ..alias };
        assert_eq!(full.row().unwrap(), ["a.test", "60", "CNAME", "b.test"]);
    }
}
