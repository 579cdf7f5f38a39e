//! Targets: what the words of the command line name, one target per port.

use std::ffi::OsStr;
use std::fmt;
use std::sync::Arc;

use crate::error::{Failure, Phase};
use crate::net::endpoint::Endpoint;
use crate::net::unix::UnixAddress;
use crate::resolver;
use crate::resolver::host_name;

/// The maximum number of targets of a run: as many as a host has ports.
pub const MAX_TARGETS: usize = 65_536;

const FORMS: &str = "a target is HOST:PORT, HOST:22,80,8000-8010, udp:HOST:PORT or unix:PATH";

/// What is checked: one port of a host, or a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckTarget {
    /// A port of a host.
    Port {
        /// The transport protocol.
        protocol: Protocol,
        /// A name or an address, without brackets.
        host: Arc<str>,
        /// The port, never 0.
        port: u16,
    },
    /// A Unix stream socket.
    Unix(UnixAddress),
}

/// The transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Its name in services(5).
    pub fn word(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

impl CheckTarget {
    /// A TCP port.
    pub fn tcp(host: &str, port: u16) -> CheckTarget {
        CheckTarget::Port { protocol: Protocol::Tcp, host: host.into(), port }
    }

    /// A UDP port.
    pub fn udp(host: &str, port: u16) -> CheckTarget {
        CheckTarget::Port { protocol: Protocol::Udp, host: host.into(), port }
    }

    /// The host, unless it is a Unix socket.
    pub fn host(&self) -> Option<&Arc<str>> {
        match self {
            CheckTarget::Port { host, .. } => Some(host),
            CheckTarget::Unix(_) => None,
        }
    }
}

impl fmt::Display for CheckTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckTarget::Unix(name) => write!(f, "unix:{name}"),
            CheckTarget::Port { protocol, host, port } => {
                let prefix = if *protocol == Protocol::Udp { "udp:" } else { "" };
                let is_v6 = host.contains(':');
                let (open, close) = if is_v6 { ("[", "]") } else { ("", "") };
                write!(f, "{prefix}{open}{host}{close}:{port}")
            }
        }
    }
}

/// Parses the words of a command line, in their order.
///
/// Fails at [`Phase::Resolve`] or [`Phase::Port`]: with 2 for a malformed word, no target or more
/// than [`MAX_TARGETS`], with 6 for a service that the system does not know.
pub fn parse_all<S: AsRef<OsStr>>(words: &[S]) -> Result<Vec<CheckTarget>, Failure> {
    let mut targets = Vec::new();
    for word in words {
        targets.append(&mut parse(word.as_ref())?);
        if targets.len() > MAX_TARGETS {
            let word = word.as_ref().to_string_lossy();
            let why = format!("more than {MAX_TARGETS} targets in one run");
            return Err(Failure::usage(Phase::Port, word, why));
        }
    }
    Ok(targets)
}

fn parse(word: &OsStr) -> Result<Vec<CheckTarget>, Failure> {
    use std::os::unix::ffi::OsStrExt;
    if let Some(path) = word.as_bytes().strip_prefix(b"unix:") {
        return parse_unix(OsStr::from_bytes(path), word);
    }
    let text = word.to_str().ok_or_else(|| {
        Failure::usage(Phase::Resolve, word.to_string_lossy(), "not a host name or address")
    })?;
    let (protocol, rest) = match text.strip_prefix("udp:") {
        Some(rest) => (Protocol::Udp, rest),
        None => (Protocol::Tcp, text),
    };
    let endpoint = Endpoint::parse(rest).map_err(with_forms)?;
    host_name::to_ascii(host_name::check_name(&endpoint.host)?)?;
    let host: Arc<str> = endpoint.host.into();
    let ports = parse_ports(&endpoint.port, protocol)?;
    Ok(ports
        .into_iter()
        .map(|port| CheckTarget::Port { protocol, host: host.clone(), port })
        .collect())
}

fn parse_unix(path: &OsStr, word: &OsStr) -> Result<Vec<CheckTarget>, Failure> {
    let name = UnixAddress::parse(path);
    match name.address() {
        Ok(_) => Ok(vec![CheckTarget::Unix(name)]),
        Err(e) => Err(Failure::usage(Phase::Connect, word.to_string_lossy(), e)),
    }
}

fn with_forms(failure: Failure) -> Failure {
    if failure.hint.is_some() { failure } else { failure.with_hint(FORMS) }
}

/// Parses a list of ports, ranges and services of `protocol`: `22,80,8000-8010,http`.
///
/// Fails as [`parse_all`] does; a port of 0 and a range that ends before it starts are malformed.
pub fn parse_ports(list: &str, protocol: Protocol) -> Result<Vec<u16>, Failure> {
    let mut ports = Vec::new();
    for item in list.split(',') {
        let is_numeric = item.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        match item.split_once('-').filter(|_| is_numeric) {
            Some((first, last)) => {
                let (first, last) = (parse_port(first, item)?, parse_port(last, item)?);
                if last < first {
                    return Err(malformed(item, "the range ends before it starts"));
                }
                ports.extend(first..=last);
            }
            None if is_numeric => ports.push(parse_port(item, item)?),
            None => ports.push(resolver::port(item, protocol.word())?),
        }
        if ports.len() > MAX_TARGETS {
            return Err(malformed(list, "more ports than a host has"));
        }
    }
    Ok(ports)
}

/// Parses the number of a port in `item` of a list.
fn parse_port(digits: &str, item: &str) -> Result<u16, Failure> {
    match digits.trim_start_matches('0') {
        "" if digits.is_empty() => Err(malformed(item, "a port is missing")),
        "" => Err(malformed(item, "port 0 cannot be connected to")),
        _ if digits.contains('-') => Err(malformed(item, "not a range of ports")),
        digits => digits.parse().map_err(|_| malformed(item, "a port is at most 65535")),
    }
}

fn malformed(item: &str, why: &'static str) -> Failure {
    let item = if item.is_empty() { "''" } else { item };
    Failure::usage(Phase::Port, item, why).with_hint(FORMS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;
    use proptest::prelude::*;

    fn shown(word: &str) -> Vec<String> {
        parse_all(&[word]).unwrap().iter().map(ToString::to_string).collect()
    }

    fn code(word: &str) -> ExitCode {
        parse_all(&[word]).unwrap_err().code
    }

    #[test]
    fn every_form_is_parsed() {
        for (word, targets) in [
            ("localhost:80", &["localhost:80"][..]),
            ("localhost:http", &["localhost:80"]),
            ("db:22,80,8000-8002", &["db:22", "db:80", "db:8000", "db:8001", "db:8002"]),
            ("db:5-5,00080", &["db:5", "db:80"]),
            ("[::1]:22,80", &["[::1]:22", "[::1]:80"]),
            ("[fe80::1%lo]:9", &["[fe80::1%lo]:9"]),
            ("udp:127.0.0.1:domain,7", &["udp:127.0.0.1:53", "udp:127.0.0.1:7"]),
            ("udp:[::1]:53", &["udp:[::1]:53"]),
            ("unix:/run/app.sock", &["unix:/run/app.sock"]),
            ("unix:a:80", &["unix:a:80"]),
            ("unix:@app", &["unix:@app"]),
        ] {
            assert_eq!(shown(word), targets, "{word}");
        }
    }

    #[test]
    fn malformed_targets_are_usage_errors() {
        let malformed = "db db: :80 db:0 db:0-5 db:70000 db:80-22 db:80-70000 db:22,,80 db:22, \
                         db:,22 db:-22 db:22- db:1-2-3 db:- ::1 80 [::1] 1:2:3 udp:53 udp: \
                         unix: http://db:80/ db:+80";
        for word in malformed.split(' ').chain(["", "a b:80"]) {
            assert_eq!(code(word), ExitCode::Usage, "{word}");
        }
        assert_eq!(code(&format!("unix:{}", "x".repeat(200))), ExitCode::Usage);
        assert_eq!(code(&format!("{}:80", "a.".repeat(200))), ExitCode::Usage);
        assert_eq!(code("bücher..\u{202e}:80"), ExitCode::Usage);
        assert_eq!(code("db:no-such-service"), ExitCode::Resolve);
    }

    #[test]
    fn targets_are_limited() {
        assert_eq!(shown("db:1-65535").len(), 65_535);
        assert_eq!(parse_all(&["db:1-65535", "db:1"]).unwrap().len(), MAX_TARGETS);
        for words in [&["db:1-65535", "db:1,2"][..], &["db:1-65535,1-65535"]] {
            assert_eq!(parse_all(words).unwrap_err().code, ExitCode::Usage);
        }
    }

    proptest! {
        #[test]
        fn parse_never_panics(word in ".*", ports in "[0-9,-]{0,12}") {
            let _ = (parse_all(&[&word]), parse_all(&[format!("h:{ports}")]));
        }
    }
}
