//! The answer to one question, before it is printed.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dns_lookup::AddrInfo;

use super::question::LookupQuestion;
use crate::error::Failure;
use crate::report::event::lookup::{LookupReport, Record, RecordFormat, Sockaddr, Tuple};
use crate::resolver::dns;
use crate::resolver::getaddrinfo;

/// The answer to one question, or its failure.
#[derive(Debug)]
pub struct Answer {
    pub result: LookupReport,
    pub failure: Option<Failure>,
    pub notes: Vec<Note>,
}

/// A message about a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Printed with `-v`.
    Step(String),
    /// A question or its answer, printed with `-vv`.
    Traffic(String),
    /// Always printed.
    Warning(String),
}

impl Answer {
    pub fn ok(result: LookupReport) -> Answer {
        Answer { result, failure: None, notes: Vec::new() }
    }

    /// Adds the question and the duration of the lookup. Without an answer, the list of addresses
    /// or names that was asked for is present and empty.
    pub fn for_question(mut self, question: &str, elapsed: Duration) -> Answer {
        let result = &mut self.result;
        result.name = question.to_string();
        match LookupQuestion::parse(question) {
            _ if result.records.is_some() => (),
            Ok(LookupQuestion::Service { .. }) => (),
            Ok(LookupQuestion::Address(_)) if result.addresses.is_none() => {
                result.names.get_or_insert_default();
            }
            _ if result.names.is_none() => {
                result.addresses.get_or_insert_default();
            }
            _ => (),
        }
        result.milliseconds = (elapsed.as_secs_f64() * 1e6).round() / 1e3;
        self
    }
}

pub fn format_addresses(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(getaddrinfo::format_ip).collect()
}

/// Formats an address with `port`.
pub fn format_with_port(address: SocketAddr, port: u16) -> String {
    let ip = getaddrinfo::format_ip(&address);
    if address.is_ipv6() { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// Compares addresses as values: v4-mapped is IPv4, and zones are compared only if both have one.
pub fn same_address(a: &SocketAddr, b: &SocketAddr) -> bool {
    let scope = |address: &SocketAddr| match address {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    let same_zone = scope(a) == 0 || scope(b) == 0 || scope(a) == scope(b);
    same_zone && canonical(a) == canonical(b)
}

fn canonical(address: &SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

/// Converts an entry of getaddrinfo(3).
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

/// Converts a DNS record, to be printed in `format`.
pub fn record(record: &dns::ResourceRecord, format: RecordFormat) -> Record {
    Record {
        owner: record.owner.to_string(),
        ttl: record.ttl,
        kind: record.kind.to_string(),
        data: record.data.to_string(),
        format,
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
    fn addresses_are_formatted_with_and_without_port() {
        let both = ["127.0.0.1:0".parse().unwrap(), "[fe80::1%1]:0".parse().unwrap()];
        assert_eq!(format_addresses(&both), ["127.0.0.1", "fe80::1%lo"]);
        assert_eq!(both.map(|a| format_with_port(a, 80)), ["127.0.0.1:80", "[fe80::1%lo]:80"]);
    }
}
