//! The answer to one question, as text and as JSON.

use serde::Serialize;

use super::escape::escape_keep_backslash;

/// What became of one question. Its fields are a promise (README, "JSON events").
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LookupReport {
    /// The question, as it was asked.
    pub name: String,
    /// In one word: `ok`, `absent`, `nxdomain`, `nodata`, `differs`, `failing`, `timeout`,
    /// `lie`, `malformed`; of `--verify` also `validated`, `none`, `mismatch`,
    /// `forward-failed`.
    pub status: &'static str,
    /// The exit code this question alone would have had.
    pub code: u8,
    /// The addresses of a name, in the order to try them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// The names of an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// Services and their ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<Service>>,
    /// What `getaddrinfo(3)` gives (`--all`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuples: Option<Vec<Tuple>>,
    /// DNS records (`--type`, or `--all` of a server).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<Vec<Record>>,
    /// Whose word each answer is (`--via both`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<Vec<View>>,
    /// Each name of the address that `--verify` tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<Check>>,
    /// The sentence `--verify` says, a line for each address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// From the question's start to its answer.
    pub milliseconds: f64,
}

/// A line of services(5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Its name.
    pub service: String,
    /// Its port.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
}

/// One tuple of `getaddrinfo(3)`, in the order of Python's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tuple {
    /// `AF_INET`, `AF_INET6`.
    pub family: String,
    /// `SOCK_STREAM`, `SOCK_DGRAM`, `SOCK_RAW`.
    pub socktype: String,
    /// The protocol's number: 6 TCP, 17 UDP, 0 any.
    pub proto: i32,
    /// The canonical name; only the first tuple has it.
    pub canonname: String,
    /// Address and port; of IPv6 flow and scope too.
    pub sockaddr: Sockaddr,
}

/// A socket address, as a JSON list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Sockaddr {
    /// Address, port.
    V4(String, u16),
    /// Address, port, flow, scope.
    V6(String, u16, u32, u32),
}

/// A DNS record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Whose.
    pub owner: String,
    /// Seconds it may be kept.
    pub ttl: u32,
    /// `A`, `MX`, ….
    #[serde(rename = "type")]
    pub kind: String,
    /// As a zone file writes it.
    pub data: String,
    /// Whether it is what was asked for, and not an alias on the way; not in JSON.
    #[serde(skip)]
    pub wanted: bool,
    /// Whether its line tells more than the data: `--type ANY`, `--all`; not in JSON.
    #[serde(skip)]
    pub whole: bool,
}

/// An answer and who gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct View {
    /// `system`, `dns` or `both`.
    pub via: &'static str,
    /// The address or name; none where that side has nothing.
    pub answer: Option<String>,
    /// Why it has nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// One name that `--verify` looked up again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The address it is a name of.
    pub address: String,
    /// The name.
    pub name: String,
    /// `confirmed`, `elsewhere`, `unresolved`, `refused`, `failing`, `timeout`, `lie`.
    pub outcome: &'static str,
    /// Where it leads.
    pub addresses: Vec<String>,
    /// Why it was not resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl LookupReport {
    /// The answer as lines of cells. Peer-made names are escaped; DNS's own escapes stay as
    /// they are.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let cell = |text: &String| vec![shown(text)];
        match self {
            LookupReport { verdict: Some(verdict), .. } => {
                verdict.lines().map(|line| vec![line.to_string()]).collect()
            }
            // Without a verdict the names that were tried are no answer.
            LookupReport { checks: Some(_), .. } => Vec::new(),
            LookupReport { tuples: Some(tuples), .. } => tuples.iter().map(Tuple::row).collect(),
            LookupReport { records: Some(records), .. } => {
                records.iter().filter_map(Record::row).collect()
            }
            LookupReport { views: Some(views), .. } => views.iter().map(View::row).collect(),
            LookupReport { services: Some(services), .. } => {
                services.iter().map(Service::row).collect()
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
        match (self.whole, self.wanted) {
            (true, _) => {
                Some(vec![shown(&self.owner), self.ttl.to_string(), self.kind.clone(), data])
            }
            (false, true) => Some(vec![data]),
            (false, false) => None,
        }
    }
}

impl View {
    /// A side that has nothing is a line too, with `-` for its answer.
    fn row(&self) -> Vec<String> {
        vec![self.via.to_string(), shown(self.answer.as_deref().unwrap_or("-"))]
    }
}

impl Service {
    fn row(&self) -> Vec<String> {
        vec![shown(&self.service), format!("{}/{}", self.port, self.protocol)]
    }
}

/// A name with everything escaped that a terminal would act on, except for backslashes: DNS names
/// have escapes already.
pub fn shown(name: &str) -> String {
    escape_keep_backslash(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_answers_are_a_cell_each() {
        let names = Some(vec!["a\x1b[2J\\027".to_string(), "b".into()]);
        let told = LookupReport { names, ..LookupReport::default() };
        assert_eq!(told.rows(), [["a\\x1b[2J\\027"], ["b"]]);
    }

    #[test]
    fn aliases_are_told_only_where_records_are_whole() {
        let alias = Record {
            owner: "a.test".into(),
            ttl: 60,
            kind: "CNAME".into(),
            data: "b.test".into(),
            wanted: false,
            whole: false,
        };
        assert_eq!(alias.row(), None);
        let whole = Record { whole: true, ..alias };
        assert_eq!(whole.row().unwrap(), ["a.test", "60", "CNAME", "b.test"]);
    }
}
