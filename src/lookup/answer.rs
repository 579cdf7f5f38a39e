//! What a worker brings back for one question, before it is told.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dns_lookup::AddrInfo;

use super::question::LookupQuestion;
use crate::error::{ExitCode, Failure};
use crate::report::lookup::{LookupReport, Record, Sockaddr, Tuple};
use crate::resolver::dns;
use crate::resolver::dns::RecordType;
use crate::resolver::getaddrinfo;

/// One question answered, or not.
#[derive(Debug)]
pub struct Answer {
    /// The facts.
    pub facts: LookupReport,
    /// Why there are none.
    pub failure: Option<Failure>,
    /// What happened on the way.
    pub notes: Vec<Note>,
}

/// Something that happened on the way to an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// For `-v`.
    Step(String),
    /// For everybody.
    Warning(String),
}

impl Answer {
    /// An answer with these facts; its status is `ok` unless they say otherwise.
    pub fn ok(facts: LookupReport) -> Answer {
        let status = if facts.status.is_empty() { "ok" } else { facts.status };
        Answer { facts: LookupReport { status, ..facts }, failure: None, notes: Vec::new() }
    }

    /// No answer; the status says why in a word.
    pub fn failed(failure: Failure) -> Answer {
        let status = match failure.code {
            ExitCode::Resolve => "absent",
            ExitCode::TryAgain => "failing",
            ExitCode::Timeout => "timeout",
            ExitCode::Protocol => "lie",
            ExitCode::Usage => "malformed",
            _ => "failed",
        };
        Answer::failed_as(status, failure)
    }

    /// No answer, with a status of its own.
    pub fn failed_as(status: &'static str, failure: Failure) -> Answer {
        let (code, cause) = (failure.code.number(), Some(failure.cause()));
        let facts = LookupReport { status, code, cause, ..LookupReport::default() };
        Answer { facts, failure: Some(failure), notes: Vec::new() }
    }

    /// The same answer, to this question, after this time.
    ///
    /// Where there is nothing, the list of addresses or names that was wanted is there and
    /// empty.
    pub fn for_question(mut self, name: &str, took: Duration) -> Answer {
        self.facts.name = name.to_string();
        match LookupQuestion::read(name) {
            _ if self.facts.records.is_some() => (),
            Ok(LookupQuestion::Service { .. }) => (),
            Ok(LookupQuestion::Address(_)) if self.facts.addresses.is_none() => {
                self.facts.names.get_or_insert_default();
            }
            _ if self.facts.names.is_none() => {
                self.facts.addresses.get_or_insert_default();
            }
            _ => (),
        }
        self.facts.milliseconds = (took.as_secs_f64() * 1e6).round() / 1e3;
        self
    }
}

/// Addresses as they are printed: with the port only where one was asked for.
pub fn format_addresses(addresses: &[SocketAddr], port: bool) -> Vec<String> {
    let text = |address: &SocketAddr| match (getaddrinfo::format_ip(address), port) {
        (figures, false) => figures,
        (figures, true) if address.is_ipv6() => format!("[{figures}]:{}", address.port()),
        (figures, true) => format!("{figures}:{}", address.port()),
    };
    addresses.iter().map(text).collect()
}

/// Addresses are equal as values: v4-mapped is IPv4, and a zone counts only where both have
/// one.
pub fn same_address(a: &SocketAddr, b: &SocketAddr) -> bool {
    let scope = |address: &SocketAddr| match address {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    let zones = scope(a) == 0 || scope(b) == 0 || scope(a) == scope(b);
    zones && canonical(a) == canonical(b)
}

fn canonical(address: &SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

/// A tuple of the C library in words.
pub fn tuple(info: AddrInfo) -> Tuple {
    let family = match info.address {
        libc::AF_INET => "AF_INET".to_string(),
        libc::AF_INET6 => "AF_INET6".to_string(),
        other => other.to_string(),
    };
    let socktype = match info.socktype {
        libc::SOCK_STREAM => "SOCK_STREAM".to_string(),
        libc::SOCK_DGRAM => "SOCK_DGRAM".to_string(),
        libc::SOCK_RAW => "SOCK_RAW".to_string(),
        other => other.to_string(),
    };
    let sockaddr = match info.sockaddr {
        SocketAddr::V4(v4) => Sockaddr::V4(v4.ip().to_string(), v4.port()),
        SocketAddr::V6(v6) => {
            Sockaddr::V6(v6.ip().to_string(), v6.port(), v6.flowinfo(), v6.scope_id())
        }
    };
    let canonname = info.canonname.unwrap_or_default();
    Tuple { family, socktype, proto: info.protocol, canonname, sockaddr }
}

/// A DNS record in words; `whole` where its line is to tell owner, time and type too.
pub fn record(record: &dns::Record, kind: RecordType, whole: bool) -> Record {
    Record {
        owner: record.owner.to_string(),
        ttl: record.ttl,
        kind: record.kind.to_string(),
        data: record.datum.to_string(),
        wanted: record.kind == kind,
        whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_as_values() {
        let same = |a: &str, b: &str| same_address(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("127.0.0.1:0", "[::ffff:127.0.0.1]:9"));
        assert!(same("[2001:db8:0:0::1]:0", "[2001:DB8::1]:0"));
        assert!(same("[fe80::1%1]:0", "[fe80::1]:0"));
        assert!(!same("[fe80::1%1]:0", "[fe80::1%2]:0"));
        assert!(!same("127.0.0.1:0", "127.0.0.2:0"));
    }

    #[test]
    fn ports_are_told_where_they_were_asked() {
        let both = ["127.0.0.1:80".parse().unwrap(), "[fe80::1%1]:80".parse().unwrap()];
        assert_eq!(format_addresses(&both, false), ["127.0.0.1", "fe80::1%lo"]);
        assert_eq!(format_addresses(&both, true), ["127.0.0.1:80", "[fe80::1%lo]:80"]);
    }
}
