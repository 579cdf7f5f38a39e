//! The entries of the result of a lookup, as text and as JSON: services, entries of getaddrinfo(3), DNS
//! records, compared answers and forward lookups.

use std::fmt;

use serde::Serialize;

use crate::report::escape::escape_keep_backslash;

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

impl fmt::Display for LookupSource {
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

impl ServiceEntry {
    /// Its cells.
    pub fn row(&self) -> Vec<String> {
        vec![shown(&self.service), format!("{}/{}", self.port, self.protocol)]
    }
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

impl Tuple {
    /// Its cells.
    pub fn row(&self) -> Vec<String> {
        let sockaddr = match &self.sockaddr {
            Sockaddr::V4(ip, port) => format!("('{ip}', {port})"),
            Sockaddr::V6(ip, port, flow, scope) => format!("('{ip}', {port}, {flow}, {scope})"),
        };
        let (family, socktype) = (self.family.clone(), self.socktype.clone());
        vec![family, socktype, self.proto.to_string(), shown(&self.canonname), sockaddr]
    }
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

impl Record {
    /// Its cells; `None` if it is not printed.
    pub fn row(&self) -> Option<Vec<String>> {
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

impl View {
    /// Its cells. A source without an answer has a line too, with `-`.
    pub fn row(&self) -> Vec<String> {
        vec![self.via.to_string(), shown(self.answer.as_deref().unwrap_or("-"))]
    }
}

/// The result of the forward lookup of a name of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ForwardOutcome {
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

impl fmt::Display for ForwardOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The forward lookup of one name by `--verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForwardLookup {
    /// The address that has this name.
    pub address: String,
    /// The name.
    pub name: String,
    /// The result.
    pub outcome: ForwardOutcome,
    /// The addresses of the name.
    pub addresses: Vec<String>,
    /// Why it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// Escapes a name for the terminal, except backslashes, which are escapes of DNS names.
pub fn shown(name: &str) -> String {
    escape_keep_backslash(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

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
